"""The Push-T expert: move around the T, push straight, and plan again; and its demonstrations.

Its actions depend only on the current state and the push in progress, never on random numbers. Similar states therefore
get similar actions. The distance from agent to target is bounded.
"""

import numpy as np
from jaxtyping import Float

from astra.environments.environment import EnvironmentObservation
from astra.environments.pusht.aiming import StraightPush, aim
from astra.environments.pusht.environment import PushT, PushTConfig
from astra.environments.pusht.geometry import BOARD, WALLS, Pose, keypoints, to_block_frame, to_board
from astra.environments.pusht.paths import inside
from astra.environments.pusht.planning import Push, keypoint_error, planner
from astra.environments.pusht.pushes import RADIUS
from astra.environments.pusht.simulation import Simulation

LEAD = 45.0
"""Distance in pixels from the agent to its target while it moves to a push. The agent moves two fifths of it per
timestep."""
ARRIVED = 4.0
"""Distance to the start of a push, in pixels, at which the push begins."""
SURPRISE, SHOVE = 1.0, 5.0
"""Deviations from the expected T and agent, in pixels, at which the plan is dropped."""
MOVED = 0.3
"""Minimum keypoint error, in pixels, by which a useful push must move the T."""
TOLERANCE, FINEST, COARSEST = 0.15, 0.7, 8.0
"""A push may end early by this share of the T's error, within the two bounds in pixels."""


class PushTExpert:
    """Expert that pushes the T to any goal pose. Equal states give equal actions.

    Args:
        seed: ignored; all experts take one, and this one draws no random numbers.
    """

    def __init__(self, seed: int = 0) -> None:
        del seed
        self._planner = planner()
        self._simulation = Simulation()
        self.reset()

    def reset(self) -> None:
        """Forget the push in progress; call it between episodes."""
        self._push: Push | None = None
        self._line: StraightPush | None = None
        self._planned_for: np.ndarray = np.zeros(3)
        self._useless: set[int] = set()
        self._expected: np.ndarray | None = None

    def act(self, environment: PushT) -> Float[np.ndarray, "2"]:
        """Return the next action for the current state of the environment."""
        state, goal = environment.state(), environment.goal
        agent, block = state[:2], state[2:]
        x, y = environment.simulator.agent.velocity
        if self._expected is not None and self._was_disturbed(state, self._expected):
            self.reset()
        if self._line is not None and self._is_done(self._line, agent, block, goal):
            self._give_up(useless=bool(keypoint_error(block, self._planned_for) < MOVED))
        if self._line is None and self._push is not None and keypoint_error(block, self._planned_for) > SURPRISE:
            self._give_up(useless=False)
        if self._line is None:
            self._prepare(state, (x, y), goal)
        if self._line is not None:
            action = self._line.target(agent)
        elif self._push is not None:
            action = self._along_path(agent, block, self._push.start_index)
        else:
            action = np.full(2, BOARD / 2)
        self._simulation.set_state(state, (x, y))
        self._simulation.step(*action.tolist())
        self._expected = np.array([*self._simulation.agent, *self._simulation.block])
        return action.astype(np.float32)

    @staticmethod
    def _was_disturbed(state: Float[np.ndarray, "5"], expected: Float[np.ndarray, "5"]) -> bool:
        """Whether something other than the last action has moved the T or the agent."""
        shoved = np.linalg.norm(state[:2] - expected[:2]) > SHOVE
        return bool(shoved or keypoint_error(state[2:], expected[2:]) > SURPRISE)

    def _is_done(
        self, line: StraightPush, agent: Float[np.ndarray, "2"], block: Float[np.ndarray, "3"], goal: Pose
    ) -> bool:
        """Whether a push is deep enough. Far from the goal it may stop early, which saves the time for braking."""
        tolerance = np.clip(TOLERANCE * keypoint_error(block, goal), FINEST, COARSEST)
        return bool(line.traveled(agent) > line.depth - tolerance)

    def _prepare(self, state: Float[np.ndarray, "5"], velocity: tuple[float, float], goal: Pose) -> None:
        """Choose a push if there is none, and start it once the agent has arrived."""
        agent, block = state[:2], state[2:]
        while self._line is None:
            if self._push is None:
                pushes = [
                    push for push in self._planner.plan(agent, block, goal) if push.start_index not in self._useless
                ]
                if not pushes:
                    self._useless.clear()
                    return
                self._push, self._planned_for = pushes[0], block
            start = to_board(block, self._planner.pushes.starts[self._push.start_index])
            if np.linalg.norm(start - agent) > ARRIVED:
                return
            self._line = aim(self._push, state, velocity, goal, self._planner, self._simulation)
            if self._line is None:
                self._give_up(useless=True)

    def _give_up(self, *, useless: bool) -> None:
        """End the push. A useless start is not tried again until another push has moved the T."""
        if not useless:
            self._useless.clear()
        elif self._push is not None:
            self._useless.add(self._push.start_index)
        self._push = self._line = None

    def _along_path(
        self, agent: Float[np.ndarray, "2"], block: Float[np.ndarray, "3"], start_index: int
    ) -> Float[np.ndarray, "2"]:
        """Return the point that lies LEAD pixels ahead of the agent on its shortest path."""
        left, here = LEAD, agent
        for point in self._planner.path(agent, block, start_index):
            length = float(np.linalg.norm(point - here))
            if length >= left:
                here = here + (point - here) * (left / length)
                break
            left, here = left - length, point
        return np.clip(here, 0.0, BOARD)


def demonstrate(
    config: PushTConfig,
    seed: int,
    *,
    goal: Pose | None = None,
    disturbance: float = 0.0,
    near_goal: float = 0.0,
) -> tuple[str, dict[str, np.ndarray]] | None:
    """Record one episode of the expert; None if it does not succeed in time. Equal seeds give equal episodes.

    Args:
        config: configuration of the environment.
        seed: seed of the start state and of the disturbances.
        goal: goal pose; None takes that of the configuration.
        disturbance: probability per timestep of a small external displacement of the T or the agent; the expert then
            corrects it.
        near_goal: probability that the episode starts with the T near its goal.

    Returns:
        The instruction, and the columns of all T timesteps: observations, `action`, `next.reward` and `next.success`.
    """
    environment = config.build()
    goal = config.goal if goal is None else goal
    random = np.random.default_rng([seed, 1])
    observation, _ = environment.reset(seed=seed, options={"goal": goal})
    if random.random() < near_goal:
        state = _start_near(goal, random)
        observation, _ = environment.reset(seed=seed, options={"goal": goal, "state": state})
    expert = PushTExpert(seed)
    rows: list[dict[str, np.ndarray]] = []
    succeeded = False
    for _ in range(config.max_timesteps):
        action = expert.act(environment)
        following, reward, succeeded, _, _ = environment.step(action)
        outcome = {"next.reward": np.array([reward], dtype=np.float32), "next.success": np.array([succeeded])}
        rows.append({**observation, "action": action, **outcome})
        observation = following
        if succeeded:
            break
        if random.random() < disturbance:
            observation = _disturb(environment, random)
    environment.close()
    if not succeeded:
        return None
    return environment.instruction, {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _start_near(goal: Pose, random: np.random.Generator) -> Float[np.ndarray, "5"]:
    """Sample a state with the T near its goal and the agent anywhere clear of the T."""
    spread = random.uniform(0.1, 1.0)
    while True:
        block = np.array(goal) + spread * np.array([*random.uniform(-40, 40, 2), random.uniform(-0.6, 0.6)])
        state = np.array([*random.uniform(30, BOARD - 30, 2), *block])
        if _possible(state):
            return state


def _disturb(environment: PushT, random: np.random.Generator) -> EnvironmentObservation:
    """Move the T or the agent a little, and return the new observation."""
    before = environment.state()
    for _ in range(10):
        state = before.copy()
        spread = random.uniform(0.05, 1.0)
        if random.random() < 0.5:
            state[2:] += spread * np.array([*random.normal(0, 15, 2), random.normal(0, 0.15)])
        else:
            state[:2] += spread * random.normal(0, 25, 2)
        if _possible(state):
            environment.set_state(state)
            break
    return environment.observe()


def _possible(state: Float[np.ndarray, "5"]) -> bool:
    """Whether T and agent are on the board and do not overlap."""
    corners = keypoints(state[2:])
    on_board = corners.min() > WALLS[0] and corners.max() < WALLS[1] and state[:2].min() > 0 and state[:2].max() < BOARD
    return bool(on_board) and not inside(to_block_frame(state[2:], state[:2]), RADIUS)
