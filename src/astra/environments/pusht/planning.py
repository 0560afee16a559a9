"""Choice of the next push: every sequence of tabulated pushes is scored by time spent and error left over."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

from astra.environments.pusht.geometry import (
    BOARD,
    KEYPOINTS,
    WALLS,
    Pose,
    compose,
    keypoints,
    to_block_frame,
    to_board,
)
from astra.environments.pusht.paths import CORNERS, ShortestPaths, step_out
from astra.environments.pusht.pushes import ANGLES, DEPTHS, REACH, Pushes, tabulate_pushes
from astra.environments.pusht.simulation import SUBSTEP, Simulation

TIMESTEPS_PER_E_FOLD = 100.0
"""Timesteps that dividing the error by e is worth."""
ERROR_FLOOR = 0.4
"""Pixels of error at which getting better stops to pay."""
TRAVEL_SPEED, PUSH_SPEED, START_STOP_TIME = 15.0, 10.0, 4.0
"""Estimates for the time of a plan: pixels per timestep on the way and in a push, timesteps to start and to stop."""
BEAM = 96
"""First pushes whose best second push is sought."""
PER_START = 8
"""First pushes from one place among them."""
MIN_ERROR_SHARE = 0.1
"""Share of the error by which a push must move the T."""
SECOND_ANGLES = (0, 1, 3, 5, 6)
"""Indices of the directions that second pushes have."""
SECOND_DEPTHS = DEPTHS[::2]
"""Depths of second pushes."""
_MARGIN = 3.0

_CENTROID = KEYPOINTS.mean(axis=0)
_SPREAD = float(((KEYPOINTS - _CENTROID) ** 2).sum(axis=1).mean())


def keypoint_error(pose: Float[np.ndarray, "*B 3"], goal: Pose | Float[np.ndarray, "3"]) -> Float[np.ndarray, "*B"]:
    """Return the root mean square distance in pixels of the T's key points from where they should be."""
    distance = keypoints(pose) - keypoints(goal)
    return np.asarray(np.sqrt(2 * (distance**2).mean(axis=-1)))


@dataclass(frozen=True, kw_only=True)
class Push:
    """One push, in the frame that the T has before it."""

    start_index: int
    """Index of the place where it starts."""
    direction: Float[np.ndarray, "2"]
    """Unit vector of the agent's motion."""
    depth: float
    """Pixels that the agent travels."""


class Planner:
    """Finds the next push for any state and goal; its tables are made once per process, see `planner`."""

    def __init__(self) -> None:
        self.pushes: Pushes = tabulate_pushes()
        self.paths = ShortestPaths(self.pushes.starts)
        self._simulation = Simulation()
        self._travel = self.paths.lengths(self.pushes.starts, np.ones(len(CORNERS), dtype=bool)) / TRAVEL_SPEED
        self._ends = self._ends_of_pushes(np.arange(len(self.pushes.start_index)))
        second = np.flatnonzero(np.isin(np.arange(len(self.pushes.start_index)) % len(ANGLES), SECOND_ANGLES))
        self._second_place = self.pushes.start_index[second]
        self._second_change = self.pushes.poses[second][:, SECOND_DEPTHS - 1]
        self._second_end = self._ends_of_pushes(second)[:, np.isin(DEPTHS, SECOND_DEPTHS)]
        self._second_features = _features(self._second_change.reshape(-1, 3), np.tile(SECOND_DEPTHS, len(second)))

    def plan(self, agent: Float[np.ndarray, "2"], block: Float[np.ndarray, "3"], goal: Pose) -> list[Push]:
        """Return the pushes to try now, best first, each from another place; empty if none is possible."""
        seen = to_block_frame(block, agent)
        out = step_out(seen)
        travel = self.paths.lengths(out[None], _on_board(to_board(block, CORNERS)))[0] + np.linalg.norm(out - seen)
        travel = np.where(_on_board(to_board(block, self.pushes.starts)), travel / TRAVEL_SPEED, np.inf)
        change = self._change_near_walls(block, np.isfinite(travel))
        poses = compose(block, change)
        spent = travel[self.pushes.start_index][:, None] + DEPTHS / PUSH_SPEED + START_STOP_TIME
        possible = _on_board(to_board(block, self._ends)) & (
            _overlap(keypoints(poses)) <= 1.0 + _overlap(keypoints(block))
        )
        spent = np.where(possible, spent, np.inf)
        # Only what moves the T counts: a push that does nothing would be chosen for the sake of the one after it.
        moved = keypoint_error(poses, block)
        spent = np.where(moved > MIN_ERROR_SHARE * keypoint_error(block, goal), spent, np.inf)
        cost = (spent + self.residual_cost(poses, goal)).ravel()
        place = np.repeat(self.pushes.start_index, len(DEPTHS))
        order = np.argsort(cost, kind="stable")[: np.isfinite(cost).sum()]
        order = order[_first_per_group(place[order], PER_START)][:BEAM]
        if not len(order):
            return []
        poses = poses.reshape(-1, 3)[order]
        nearest = self.nearest_start(to_board(block, self._ends).reshape(-1, 2)[order], poses)
        total = spent.ravel()[order] + self.cost_to_go(poses, nearest, goal)
        order = order[np.argsort(total, kind="stable")]
        order = order[_first_per_group(place[order], 1)]
        return [
            Push(
                start_index=int(place[index]),
                direction=self.pushes.directions[index // len(DEPTHS)],
                depth=float(DEPTHS[index % len(DEPTHS)]),
            )
            for index in order
        ]

    def cost_to_go(
        self, poses: Float[np.ndarray, "B 3"], places: Int[np.ndarray, " B"], goal: Pose
    ) -> Float[np.ndarray, " B"]:
        """Return the cost from poses of the T, with the agent near places, under the best single push or none."""
        starts = to_board(poses[:, None], self.pushes.starts)
        travel = np.where(_on_board(starts), self._travel[places], np.inf)
        weighted = (_weights(poses, goal) @ self._second_features).reshape(len(poses), -1, len(SECOND_DEPTHS))
        depth = weighted.argmin(axis=2)
        cost = (
            0.5 * TIMESTEPS_PER_E_FOLD * np.log(np.maximum(weighted.min(axis=2), ERROR_FLOOR**2))
            + travel[:, self._second_place]
        )
        best = self.residual_cost(poses, goal)
        pending = np.arange(len(poses))
        while len(pending):  # take the best push; where it would leave the board, the next best
            push = cost[pending].argmin(axis=1)
            value = cost[pending, push]
            pending, push, value = (x[value < best[pending]] for x in (pending, push, value))
            after = compose(poses[pending], self._second_change[push, depth[pending, push]])
            end = to_board(poses[pending], self._second_end[push, depth[pending, push]])
            fits = _on_board(end) & (_overlap(keypoints(after)) <= 1.0 + _overlap(keypoints(poses[pending])))
            best[pending[fits]] = value[fits]
            cost[pending[~fits], push[~fits]] = np.inf
            pending = pending[~fits]
        return best

    def residual_cost(self, poses: Float[np.ndarray, "*B 3"], goal: Pose) -> Float[np.ndarray, "*B"]:
        """Return the cost in timesteps of the error that poses of the T have."""
        return np.asarray(0.5 * TIMESTEPS_PER_E_FOLD * np.log(keypoint_error(poses, goal) ** 2 + ERROR_FLOOR**2))

    def nearest_start(
        self, agent: Float[np.ndarray, "*B 2"], block: Float[np.ndarray, "*B 3"]
    ) -> Int[np.ndarray, "*B"]:
        """Return the place on the outline that is nearest to the agent."""
        seen = to_block_frame(block, agent)
        return ((seen[..., None, :] - self.pushes.starts) ** 2).sum(axis=-1).argmin(axis=-1)

    def path(self, agent: Float[np.ndarray, "2"], block: Float[np.ndarray, "3"], place: int) -> list[np.ndarray]:
        """Return the points on the board by which the agent gets to a place; empty if there is no way."""
        seen = to_block_frame(block, agent)
        out = step_out(seen)
        points = self.paths.path(out, place, _on_board(to_board(block, CORNERS)))
        if points and out is not seen:
            points = [out, *points]
        return [to_board(block, point) for point in points]

    def _change_near_walls(self, block: Float[np.ndarray, "3"], reachable: Bool[np.ndarray, " C"]) -> np.ndarray:
        """The T's change by every push; pushes that take it into a wall are simulated with the walls."""
        change = self.pushes.poses[:, DEPTHS - 1]
        hits = (_overlap(keypoints(compose(block, change))) > 0).any(axis=1) & reachable[self.pushes.start_index]
        if not hits.any():
            return change
        change = change.copy()
        for index in np.flatnonzero(hits):
            start = to_board(block, self.pushes.starts[self.pushes.start_index[index]])
            direction = to_board(block, self.pushes.directions[index]) - block[:2]
            self._simulation.set_state(np.array([*start, *block]))
            vx, vy = direction / SUBSTEP  # a pixel per step of the physics
            after = self._simulation.slide(vx, vy, REACH)[DEPTHS - 1]
            change[index] = np.concatenate([to_block_frame(block, after[:, :2]), after[:, 2:] - block[2]], axis=1)
        return change

    def _ends_of_pushes(self, pushes: Int[np.ndarray, " P"]) -> Float[np.ndarray, "P K 2"]:
        """Where the agent is at the end of pushes, in the frame that the T has before them."""
        traveled = DEPTHS[:, None] * self.pushes.directions[pushes][:, None]
        return self.pushes.starts[self.pushes.start_index[pushes]][:, None] + traveled


def _features(change: Float[np.ndarray, "Q 3"], depths: np.ndarray) -> Float[np.ndarray, "6 Q"]:
    """Six features of a push in which the squared error after it is linear.

    They are scaled by exp(2 time / TIMESTEPS_PER_E_FOLD), so that the logarithm of the product with `_weights` is the whole cost.
    """
    middle = to_board(change, _CENTROID)
    features = [(middle**2).sum(1), *middle.T, np.cos(change[:, 2]), np.sin(change[:, 2]), np.ones(len(change))]
    return np.stack(features) * np.exp(2 * (depths / PUSH_SPEED + START_STOP_TIME) / TIMESTEPS_PER_E_FOLD)


def _weights(poses: Float[np.ndarray, "B 3"], goal: Pose) -> Float[np.ndarray, "B 6"]:
    """What the features of a push count for the squared error, from poses of the T."""
    target = to_block_frame(poses, to_board(np.array(goal), _CENTROID))
    turn = poses[:, 2] - goal[2]
    ones = np.ones(len(poses))
    return np.stack(
        [
            ones,
            *(-2 * target.T),
            -2 * _SPREAD * np.cos(turn),
            2 * _SPREAD * np.sin(turn),
            (target**2).sum(axis=1) + 2 * _SPREAD + ERROR_FLOOR**2,
        ],
        axis=1,
    )


@cache
def planner() -> Planner:
    """Return this process's planner."""
    return Planner()


def _overlap(corners: Float[np.ndarray, "*B 16"]) -> Float[np.ndarray, "*B"]:
    """Pixels by which a T is inside a wall."""
    return np.asarray(np.maximum(WALLS[0] - corners.min(axis=-1), corners.max(axis=-1) - WALLS[1]).clip(min=0.0))


def _on_board(points: Float[np.ndarray, "*B 2"]) -> Bool[np.ndarray, "*B"]:
    return np.asarray(((points >= _MARGIN) & (points <= BOARD - _MARGIN)).all(axis=-1))


def _first_per_group(groups: np.ndarray, count: int) -> np.ndarray:
    """Mask of the first `count` entries of each group, in order."""
    order = np.argsort(groups, kind="stable")
    ranked = groups[order]
    begins = np.r_[True, ranked[1:] != ranked[:-1]]
    rank = np.arange(len(groups)) - np.maximum.accumulate(np.where(begins, np.arange(len(groups)), 0))
    keep = np.empty(len(groups), dtype=bool)
    keep[order] = rank < count
    return keep
