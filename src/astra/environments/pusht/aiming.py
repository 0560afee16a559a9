"""Choose the best straight push from the current state, by simulating candidates."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from astra.environments.pusht.geometry import BOARD, Pose, to_board
from astra.environments.pusht.planning import MIN_ERROR_SHARE, PUSH_SPEED, Planner, Push, keypoint_error
from astra.environments.pusht.simulation import Simulation

LEAD = 27.0
"""Distance in pixels from the agent to its target during a push. The agent moves two fifths of it per timestep."""
TURNS = tuple(math.radians(degrees) for degrees in (-12, -8, -5, -2.5, 0, 2.5, 5, 8, 12))
"""Candidate changes of the planned direction, in radians."""
EXTRA_DEPTH = 1.25, 6.0
"""Candidate pushes go deeper than planned: the planned depth times the first number plus the second, in pixels."""
RESOLUTION = 1.5
"""Distance in pixels between the depths that are compared."""
_MAX_TIMESTEPS = 40
_MIN_MOTION = 0.5


@dataclass(frozen=True, kw_only=True)
class StraightPush:
    """Straight motion of the agent on the board."""

    start: Float[np.ndarray, "2"]
    """Start of the agent, in pixels."""
    direction: Float[np.ndarray, "2"]
    """Unit vector of the motion."""
    depth: float
    """Distance that the agent travels, in pixels."""

    def target(self, agent: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
        """Return the target position for the next action: ahead of the agent, but not beyond the end of the push."""
        ahead = min(self.traveled(agent) + LEAD, self.depth)
        return np.clip(self.start + ahead * self.direction, 0.0, BOARD)

    def traveled(self, agent: Float[np.ndarray, "2"]) -> float:
        """Return the distance from the start to the agent along the push, in pixels."""
        return float((agent - self.start) @ self.direction)


@dataclass(frozen=True, kw_only=True)
class _Outcomes:
    """States of block and agent at increasing depths of a push."""

    depths: Float[np.ndarray, " R"]
    blocks: Float[np.ndarray, "R 3"]
    agents: Float[np.ndarray, "R 2"]


def aim(
    push: Push,
    state: Float[np.ndarray, "5"],
    velocity: tuple[float, float],
    goal: Pose,
    planner: Planner,
    simulation: Simulation,
) -> StraightPush | None:
    """Return the push, near the planned one, that leaves the lowest cost to go; None if no push moves the T enough.

    The agent arrives a few pixels beside its planned start, and the table of pushes ignores walls. Candidates from the
    true state are therefore simulated exactly and compared at every depth.
    """
    agent, block = state[:2], state[2:]
    planned = math.atan2(*(to_board(block, push.direction) - block[:2])[::-1])
    longest = EXTRA_DEPTH[0] * push.depth + EXTRA_DEPTH[1]
    angles = [planned + turn for turn in TURNS]
    lines = [StraightPush(start=agent, direction=np.array([math.cos(a), math.sin(a)]), depth=longest) for a in angles]
    outcomes = [_roll_out(line, state, velocity, simulation) for line in lines]
    depths = np.concatenate([outcome.depths for outcome in outcomes])
    if not len(depths):
        return None
    blocks = np.concatenate([outcome.blocks for outcome in outcomes])
    agents = np.concatenate([outcome.agents for outcome in outcomes])
    worth = keypoint_error(blocks, block) > MIN_ERROR_SHARE * keypoint_error(block, goal)
    if not worth.any():
        return None
    starts = planner.nearest_start(agents[worth], blocks[worth])
    cost = depths[worth] / PUSH_SPEED + planner.cost_to_go(blocks[worth], starts, goal)
    best = int(np.flatnonzero(worth)[cost.argmin()])
    which: Int[np.ndarray, " R"] = np.repeat(np.arange(len(lines)), [len(outcome.depths) for outcome in outcomes])
    return StraightPush(start=agent, direction=lines[which[best]].direction, depth=float(depths[best]))


def _roll_out(
    line: StraightPush, state: Float[np.ndarray, "5"], velocity: tuple[float, float], simulation: Simulation
) -> _Outcomes:
    """Simulate a push to its end, and return the outcomes at the depths at which it has moved the T."""
    simulation.set_state(state, velocity)
    traces = []
    for _ in range(_MAX_TIMESTEPS):
        agent = np.array(simulation.agent)
        if line.traveled(agent) > line.depth - 1.0:
            break
        traces.append(simulation.step_with_trace(*line.target(agent).tolist()))
    states = np.concatenate(traces)
    depths = (states[:, :2] - line.start) @ line.direction
    # Keep one depth per RESOLUTION, and only those at which the T has moved.
    new = np.diff(np.floor(depths / RESOLUTION), prepend=0.0) > 0
    new &= keypoint_error(states[:, 2:], state[2:]) > _MIN_MOTION
    return _Outcomes(depths=depths[new], blocks=states[new, 2:], agents=states[new, :2])
