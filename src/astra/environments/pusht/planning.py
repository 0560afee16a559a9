"""Plan the next push: score sequences of up to two tabulated pushes by time and remaining error."""

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
from astra.environments.pusht.pushes import ANGLES, DEPTHS, Pushes, tabulate_pushes
from astra.environments.pusht.simulation import SUBSTEP, Simulation

TIMESTEPS_PER_E_FOLD = 100.0
"""Value of dividing the error by e, in timesteps."""
ERROR_FLOOR = 0.4
"""Error in pixels below which improvements stop paying off."""
TRAVEL_SPEED, PUSH_SPEED, START_STOP_TIME = 15.0, 10.0, 4.0
"""Estimated pixels per timestep on the way to a push and in a push, and timesteps to start and stop."""
BEAM = 96
"""Number of first pushes for which the best second push is searched."""
PER_START = 8
"""Maximum number of those first pushes from one start."""
MIN_ERROR_SHARE = 0.1
"""Minimum motion of the T by a push, as a share of its error."""
SECOND_ANGLES = (0, 1, 3, 5, 6)
"""Indices of the directions of second pushes."""
SECOND_DEPTHS = DEPTHS[::2]
"""Depths of second pushes, in pixels."""
_MARGIN = 3.0

_CENTROID = KEYPOINTS.mean(axis=0)
_SPREAD = float(((KEYPOINTS - _CENTROID) ** 2).sum(axis=1).mean())


def keypoint_error(pose: Float[np.ndarray, "*B 3"], goal: Pose | Float[np.ndarray, "3"]) -> Float[np.ndarray, "*B"]:
    """Return the root mean square distance of the T's keypoints from those at the goal, in pixels."""
    return _error(keypoints(pose), keypoints(goal))


def _error(corners: Float[np.ndarray, "*B 16"], goal: Float[np.ndarray, "16"]) -> Float[np.ndarray, "*B"]:
    distance = corners - goal
    return np.asarray(np.sqrt(2 * (distance**2).mean(axis=-1)))


@dataclass(frozen=True, kw_only=True)
class Push:
    """Planned push, in the frame of the T before it."""

    start_index: int
    """Index of its start among `Pushes.starts`."""
    direction: Float[np.ndarray, "2"]
    """Unit vector of the agent's motion."""
    depth: float
    """Distance that the agent travels, in pixels."""


class Planner:
    """Planner of the next push for any state and goal. Its tables are built once per process, see `planner`."""

    def __init__(self) -> None:
        self.pushes: Pushes = tabulate_pushes()
        self.paths = ShortestPaths(self.pushes.starts)
        self._simulation = Simulation()
        self._travel = self.paths.lengths(self.pushes.starts, np.ones(len(CORNERS), dtype=bool)) / TRAVEL_SPEED
        self._ends = self._ends_of_pushes(np.arange(len(self.pushes.start_index)))
        second = np.flatnonzero(np.isin(np.arange(len(self.pushes.start_index)) % len(ANGLES), SECOND_ANGLES))
        self._second_start = self.pushes.start_index[second]
        self._second_change = self.pushes.poses[second][:, SECOND_DEPTHS - 1]
        self._second_end = self._ends_of_pushes(second)[:, np.isin(DEPTHS, SECOND_DEPTHS)]
        self._second_features = _features(self._second_change.reshape(-1, 3), np.tile(SECOND_DEPTHS, len(second)))

    def plan(self, agent: Float[np.ndarray, "2"], block: Float[np.ndarray, "3"], goal: Pose) -> list[Push]:
        """Return the pushes to try now, best first, each from another start; empty if none is possible."""
        seen = to_block_frame(block, agent)
        out = step_out(seen)
        travel = self.paths.lengths(out[None], _on_board(to_board(block, CORNERS)))[0] + np.linalg.norm(out - seen)
        travel = np.where(_on_board(to_board(block, self.pushes.starts)), travel / TRAVEL_SPEED, np.inf)
        spent = travel[self.pushes.start_index][:, None] + DEPTHS / PUSH_SPEED + START_STOP_TIME
        possible = _on_board(to_board(block, self._ends)) & np.isfinite(spent)
        poses, corners = self._outcomes(block, possible)
        here = keypoints(block)
        possible &= _overlap(corners) <= 1.0 + _overlap(here)
        spent = np.where(possible, spent, np.inf)
        # Exclude pushes that do not move the T: they would be chosen for the sake of the second push.
        spent = np.where(_error(corners, here) > MIN_ERROR_SHARE * keypoint_error(block, goal), spent, np.inf)
        cost = (spent + _residual_cost(_error(corners, keypoints(goal)))).ravel()
        start = np.repeat(self.pushes.start_index, len(DEPTHS))
        order = np.argsort(cost, kind="stable")[: np.isfinite(cost).sum()]
        order = order[_first_per_group(start[order], PER_START)][:BEAM]
        if not len(order):
            return []
        poses = poses.reshape(-1, 3)[order]
        nearest = self.nearest_start(to_board(block, self._ends).reshape(-1, 2)[order], poses)
        total = spent.ravel()[order] + self.cost_to_go(poses, nearest, goal)
        order = order[np.argsort(total, kind="stable")]
        order = order[_first_per_group(start[order], 1)]
        return [
            Push(
                start_index=int(start[index]),
                direction=self.pushes.directions[index // len(DEPTHS)],
                depth=float(DEPTHS[index % len(DEPTHS)]),
            )
            for index in order
        ]

    def cost_to_go(
        self, poses: Float[np.ndarray, "B 3"], starts: Int[np.ndarray, " B"], goal: Pose
    ) -> Float[np.ndarray, " B"]:
        """Return the cost of poses of the T, with the agent near the given starts, after at most one more push."""
        positions = to_board(poses[:, None], self.pushes.starts)
        travel = np.where(_on_board(positions), self._travel[starts], np.inf)
        weighted = (_weights(poses, goal) @ self._second_features).reshape(len(poses), -1, len(SECOND_DEPTHS))
        depth = weighted.argmin(axis=2)
        cost = (
            0.5 * TIMESTEPS_PER_E_FOLD * np.log(np.maximum(weighted.min(axis=2), ERROR_FLOOR**2))
            + travel[:, self._second_start]
        )
        best = self.residual_cost(poses, goal)
        pending = np.arange(len(poses))
        while len(pending):  # take the best push; if it leaves the board, try the next best
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
        """Return the cost in timesteps of the remaining error of poses of the T."""
        return _residual_cost(keypoint_error(poses, goal))

    def nearest_start(
        self, agent: Float[np.ndarray, "*B 2"], block: Float[np.ndarray, "*B 3"]
    ) -> Int[np.ndarray, "*B"]:
        """Return the index of the start that is nearest to the agent."""
        seen = to_block_frame(block, agent)
        return ((seen[..., None, :] - self.pushes.starts) ** 2).sum(axis=-1).argmin(axis=-1)

    def path(self, agent: Float[np.ndarray, "2"], block: Float[np.ndarray, "3"], start_index: int) -> list[np.ndarray]:
        """Return the points on the board along which the agent reaches a start; empty if there is no path."""
        seen = to_block_frame(block, agent)
        out = step_out(seen)
        points = self.paths.path(out, start_index, _on_board(to_board(block, CORNERS)))
        if points and out is not seen:
            points = [out, *points]
        return [to_board(block, point) for point in points]

    def _outcomes(
        self, block: Float[np.ndarray, "3"], possible: Bool[np.ndarray, "P depths"]
    ) -> tuple[Float[np.ndarray, "P depths 3"], Float[np.ndarray, "P depths 16"]]:
        """Return poses and corners of the T after every push. Possible pushes into a wall are simulated with walls."""
        poses = compose(block, self.pushes.poses[:, DEPTHS - 1])
        corners = keypoints(poses)
        for index in np.flatnonzero(((_overlap(corners) > 0) & possible).any(axis=1)):
            start = to_board(block, self.pushes.starts[self.pushes.start_index[index]])
            vx, vy = (to_board(block, self.pushes.directions[index]) - block[:2]) / SUBSTEP  # 1 pixel per physics step
            deep = possible[index].sum()  # deeper, the agent would leave the board
            self._simulation.set_state(np.array([*start, *block]))
            poses[index, :deep] = self._simulation.slide(vx, vy, DEPTHS[:deep])
            corners[index, :deep] = keypoints(poses[index, :deep])
        return poses, corners

    def _ends_of_pushes(self, pushes: Int[np.ndarray, " P"]) -> Float[np.ndarray, "P depths 2"]:
        """Return the agent's positions at the depths of pushes, in the frame of the T before them."""
        traveled = DEPTHS[:, None] * self.pushes.directions[pushes][:, None]
        return self.pushes.starts[self.pushes.start_index[pushes]][:, None] + traveled


def _residual_cost(error: Float[np.ndarray, "*B"]) -> Float[np.ndarray, "*B"]:
    return np.asarray(0.5 * TIMESTEPS_PER_E_FOLD * np.log(error**2 + ERROR_FLOOR**2))


def _features(change: Float[np.ndarray, "Q 3"], depths: np.ndarray) -> Float[np.ndarray, "6 Q"]:
    """Return six features of a push in which the squared error after it is linear.

    They are scaled by exp(2 time / TIMESTEPS_PER_E_FOLD), so that the logarithm of their product with `_weights` is the
    whole cost.
    """
    middle = to_board(change, _CENTROID)
    features = [(middle**2).sum(1), *middle.T, np.cos(change[:, 2]), np.sin(change[:, 2]), np.ones(len(change))]
    return np.stack(features) * np.exp(2 * (depths / PUSH_SPEED + START_STOP_TIME) / TIMESTEPS_PER_E_FOLD)


def _weights(poses: Float[np.ndarray, "B 3"], goal: Pose) -> Float[np.ndarray, "B 6"]:
    """Return the weight of each feature in the squared error, for poses of the T."""
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
    """Return the planner of this process."""
    return Planner()


def _overlap(corners: Float[np.ndarray, "*B 16"]) -> Float[np.ndarray, "*B"]:
    """Return the depth in pixels by which a T overlaps a wall."""
    return np.asarray(np.maximum(WALLS[0] - corners.min(axis=-1), corners.max(axis=-1) - WALLS[1]).clip(min=0.0))


def _on_board(points: Float[np.ndarray, "*B 2"]) -> Bool[np.ndarray, "*B"]:
    return np.asarray(((points >= _MARGIN) & (points <= BOARD - _MARGIN)).all(axis=-1))


def _first_per_group(groups: np.ndarray, count: int) -> np.ndarray:
    """Return a mask of the first `count` entries of each group, in order."""
    order = np.argsort(groups, kind="stable")
    ranked = groups[order]
    begins = np.r_[True, ranked[1:] != ranked[:-1]]
    rank = np.arange(len(groups)) - np.maximum.accumulate(np.where(begins, np.arange(len(groups)), 0))
    keep = np.empty(len(groups), dtype=bool)
    keep[order] = rank < count
    return keep
