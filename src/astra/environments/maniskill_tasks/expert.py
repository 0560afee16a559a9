"""The expert of ManiSkill's own tasks: above, down, close, carry, lower and release, in a policy's bins.

It grasps again after a failure, as the expert of `maniskill` does; here targets stand still and are easy to grasp, so a
few rules are enough.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float

from astra.environments.maniskill.expert import FASTEST, FASTEST_DOWN, HOVER, LOWEST, STEP, TURN, to_bins
from astra.environments.maniskill.world import BINS
from astra.environments.maniskill_tasks.environment import ManiSkillTasks

Phase = Literal["above", "down", "close", "carry", "lower", "release"]
NEAR, ALIGNED = 0.012, 0.08
"""Distance in meters and angle in radians at which the next phase begins."""
PRECISE = 0.003
"""Distance in meters from above the goal at which the target is lowered."""
CLOSING, RELEASING = 4, 3
"""Timesteps for which the fingers close, and for which they open."""
PATIENCE = 15
"""Timesteps in which the hand must have come down or lowered; then it goes on where it is."""
CLEAR = 0.07
"""Height in meters above the goal at which the target is carried."""
DROP = 0.003
"""Height in meters above the goal from which the target is let go."""


class OwnTaskExpert:
    """Expert of one episode.

    Args:
        seed: ignored; all experts take one, and this one draws no random numbers.
        bins: number of bins per dimension to whose centers actions are rounded; 0: none.
    """

    def __init__(self, seed: int = 0, bins: int = BINS) -> None:
        del seed
        self.bins = bins
        self.phase: Phase = "above"
        """Present phase of the grasp."""
        self._since = 0
        self._phases: dict[Phase, Callable[[ManiSkillTasks], tuple[np.ndarray, float]]] = {
            "above": self._above,
            "down": self._down,
            "close": self._close,
            "carry": self._carry,
            "lower": self._lower,
            "release": self._release,
        }

    def act(self, environment: ManiSkillTasks) -> Float[np.ndarray, "7"]:
        """Return the next action for the present state of the environment."""
        self._since += 1
        if self.phase in ("carry", "lower") and not environment.simulator.held:
            self._begin("above")
        goal, gripper = self._phases[self.phase](environment)
        step = goal - environment.simulator.tip.point
        step *= min(1.0, FASTEST / max(float(np.linalg.norm(step)), 1e-9))
        step[2] = max(step[2], -FASTEST_DOWN)
        action = np.concatenate([step / STEP, self._turn(environment) / TURN, [gripper]])
        return to_bins(action.clip(-1, 1), self.bins).astype(np.float32)

    def _begin(self, phase: Phase) -> None:
        self.phase, self._since = phase, 0

    def _above(self, environment: ManiSkillTasks) -> tuple[np.ndarray, float]:
        grasp, tip = _grasp(environment), environment.simulator.tip.point
        goal = grasp + np.array([0.0, 0.0, HOVER])
        away = float(np.linalg.norm((goal - tip)[:2]))
        if away > 3 * NEAR and tip[2] < goal[2] - NEAR:  # first up, so that nothing is swept away
            goal[:2] = tip[:2]
        elif away < NEAR and np.linalg.norm(self._turn(environment)) < ALIGNED:
            self._begin("down")
        return goal, 1.0

    def _down(self, environment: ManiSkillTasks) -> tuple[np.ndarray, float]:
        grasp, tip = _grasp(environment), environment.simulator.tip.point
        away = float(np.linalg.norm((grasp - tip)[:2]))
        if away > 3 * NEAR:
            self._begin("above")
        elif (away < NEAR / 2 and abs(grasp[2] - tip[2]) < 0.006) or self._since > PATIENCE:
            self._begin("close")
            return grasp, -1.0
        return grasp, 1.0

    def _close(self, environment: ManiSkillTasks) -> tuple[np.ndarray, float]:
        if self._since >= CLOSING:
            if not environment.simulator.held:
                self._begin("above")
                return self._above(environment)
            self._begin("carry")
            return self._carry(environment)
        return environment.simulator.tip.point.copy(), -1.0

    def _carry(self, environment: ManiSkillTasks) -> tuple[np.ndarray, float]:
        tip, releases = environment.simulator.tip.point, environment.scene.own.releases
        goal = self._goal(environment, CLEAR if releases else 0.0)
        away = float(np.linalg.norm((goal - tip)[:2]))
        if not releases:
            return goal, -1.0
        if away > 3 * NEAR and tip[2] < goal[2] - NEAR:
            goal[:2] = tip[:2]
        elif away < PRECISE:
            self._begin("lower")
        return goal, -1.0

    def _lower(self, environment: ManiSkillTasks) -> tuple[np.ndarray, float]:
        goal, tip = self._goal(environment, DROP), environment.simulator.tip.point
        if (np.linalg.norm((goal - tip)[:2]) < PRECISE and tip[2] < goal[2] + DROP) or self._since > PATIENCE:
            self._begin("release")
            return goal, 1.0
        return goal, -1.0

    def _release(self, environment: ManiSkillTasks) -> tuple[np.ndarray, float]:
        simulator = environment.scene
        if self._since <= RELEASING:
            return simulator.tip.point.copy(), 1.0
        if np.linalg.norm(simulator.objects[0].point - simulator.goal) > NEAR:
            self._begin("above")
        return simulator.tip.point + np.array([0.0, 0.0, FASTEST]), 1.0

    def _goal(self, environment: ManiSkillTasks, height: float) -> np.ndarray:
        """Return where the fingertips must be for the target to be at a height above its goal."""
        simulator = environment.scene
        return simulator.goal + simulator.tip.point - simulator.objects[0].point + np.array([0.0, 0.0, height])

    def _turn(self, environment: ManiSkillTasks) -> np.ndarray:
        """Return the rotation vector that points the hand down and turns its fingers to two sides of the cube."""
        tip = environment.simulator.tip
        turn = np.cross(tip.turn[:, 2], (0.0, 0.0, -1.0))
        if self.phase in ("above", "down") and not environment.scene.own.is_round:
            fingers = math.atan2(tip.turn[1, 1], tip.turn[0, 1])
            side = environment.simulator.objects[0].turn[:, 0]
            quarter = math.pi / 2  # all four sides are the same
            turn[2] += (math.atan2(side[1], side[0]) - fingers + quarter / 2) % quarter - quarter / 2
        return turn


def _grasp(environment: ManiSkillTasks) -> Float[np.ndarray, "3"]:
    """Return where the middle of the fingertips must be to grasp the target."""
    point = environment.simulator.objects[0].point
    return np.array([point[0], point[1], max(point[2], LOWEST)])
