"""The expert of ManiSkill's own tasks: above, down, close, carry, lower and release, in a policy's bins.

It grasps as the expert of `maniskill` does; here targets stand still and are easy to grasp, so it lifts and carries at
once.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from astra.environments.maniskill.grasping import LOWEST, PATIENCE, GraspingExpert, Phase
from astra.environments.maniskill_tasks.environment import ManiSkillTasks

PRECISE = 0.003
"""Distance in meters from above the goal at which the target is lowered."""
CLEAR = 0.07
"""Height in meters above the goal at which the target is carried."""
DROP = 0.003
"""Height in meters above the goal from which the target is let go."""


class OwnTaskExpert(GraspingExpert[ManiSkillTasks]):
    """Expert of one episode."""

    NEAR, ALIGNED, DEEP = 0.012, 0.08, 0.006
    HOLDING = ("carry", "lower")

    def holding(self) -> Mapping[Phase, Callable[[ManiSkillTasks], tuple[np.ndarray, float]]]:
        """Return the function of each phase in which the target is held."""
        return {"carry": self._carry, "lower": self._lower}

    def grasp(self, environment: ManiSkillTasks) -> Float[np.ndarray, "3"]:
        """Return where the middle of the fingertips must be to grasp the target."""
        point = environment.simulator.objects[0].point
        return np.array([point[0], point[1], max(point[2], LOWEST)])

    def placed(self, environment: ManiSkillTasks) -> bool:
        """Return whether the target is at its goal."""
        return bool(np.linalg.norm(environment.scene.objects[0].point - environment.scene.goal) <= self.NEAR)

    def yaw(self, environment: ManiSkillTasks) -> float:
        """Return the angle by which the fingers must turn to two sides of a cube; all four sides are the same."""
        if environment.scene.own.is_round:
            return 0.0
        tip, side = environment.simulator.tip, environment.simulator.objects[0].turn[:, 0]
        fingers, quarter = math.atan2(tip.turn[1, 1], tip.turn[0, 1]), math.pi / 2
        return (math.atan2(side[1], side[0]) - fingers + quarter / 2) % quarter - quarter / 2

    def _carry(self, environment: ManiSkillTasks) -> tuple[np.ndarray, float]:
        tip, releases = environment.simulator.tip.point, environment.scene.own.releases
        goal = self._goal(environment, CLEAR if releases else 0.0)
        away = float(np.linalg.norm((goal - tip)[:2]))
        if not releases:
            return goal, -1.0
        if away > 3 * self.NEAR and tip[2] < goal[2] - self.NEAR:
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

    def _goal(self, environment: ManiSkillTasks, height: float) -> np.ndarray:
        """Return where the fingertips must be for the target to be at a height above its goal."""
        simulator = environment.scene
        return simulator.goal + simulator.tip.point - simulator.objects[0].point + np.array([0.0, 0.0, height])
