"""The expert of ManiSkill: it knows all poses, grasps across the narrowest width, and grasps again after a failure.

Its actions are rounded to the centers of a discrete policy's bins, so whatever it does, such a policy can do.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from astra.environments.maniskill.environment import ManiSkill
from astra.environments.maniskill.grasping import LOWEST, PATIENCE, GraspingExpert, Phase
from astra.environments.maniskill.objects import CONTAINERS, SHAPES, WALL, WIDEST
from astra.environments.maniskill.simulator import Pose

CLEAR = 0.04
"""Height in meters by which a carried object clears the rim of the container."""


class ManiSkillExpert(GraspingExpert[ManiSkill]):
    """Expert of one episode, which carries the target over the rim of its container."""

    NEAR, ALIGNED, DEEP = 0.015, 0.12, 0.008
    HOLDING = ("lift", "carry", "lower")

    def holding(self) -> Mapping[Phase, Callable[[ManiSkill], tuple[np.ndarray, float]]]:
        """Return the function of each phase in which the target is held."""
        return {"lift": self._lift, "carry": self._carry, "lower": self._lower}

    def grasp(self, environment: ManiSkill) -> Float[np.ndarray, "3"]:
        """Return where the middle of the fingertips must be to grasp the target."""
        return grasp_point(environment)

    def placed(self, environment: ManiSkill) -> bool:
        """Return whether the target is inside the container."""
        return environment.is_inside()

    def yaw(self, environment: ManiSkill) -> float:
        """Return the angle by which the fingers must turn about the vertical axis to close across the target."""
        tip, target = environment.simulator.tip, environment.simulator.objects[0]
        fingers = math.atan2(tip.turn[1, 1], tip.turn[0, 1])
        angles = [math.atan2(axis[1], axis[0]) for axis in grasp_axes(target, environment)]
        turns = [(angle - fingers + math.pi / 2) % math.pi - math.pi / 2 for angle in angles]  # both ways are the same
        return min(turns, key=abs, default=0.0)

    def _lift(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        tip = environment.simulator.tip.point
        height = self._carrying(environment)
        if tip[2] > height - self.NEAR:
            self._begin("carry")
        return np.array([tip[0], tip[1], height]), -1.0

    def _carry(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        goal = self._over_container(environment)
        goal[2] = self._carrying(environment)
        if np.linalg.norm((goal - environment.simulator.tip.point)[:2]) < self.NEAR:
            self._begin("lower")
        return goal, -1.0

    def _lower(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        goal = self._over_container(environment)
        container = CONTAINERS[environment.combination.container]
        low = max(container.height - 0.02, WALL + 0.01)
        goal[2] = low + self._below(environment)
        if environment.simulator.tip.point[2] < goal[2] + 0.01 or self._since > PATIENCE:
            self._begin("release")
            return goal, 1.0
        return goal, -1.0

    def _over_container(self, environment: ManiSkill) -> np.ndarray:
        """Return where the fingertips must be for the target to be above the middle of the container."""
        simulator = environment.simulator
        return simulator.container.point + simulator.tip.point - simulator.objects[0].point

    def _below(self, environment: ManiSkill) -> float:
        """Return the height of the fingertips above the lowest point of the held target."""
        simulator = environment.simulator
        target = simulator.objects[0]
        extent = float(np.abs(target.turn[2]) @ environment.combination.target.half)
        return float(simulator.tip.point[2] - target.point[2]) + extent

    def _carrying(self, environment: ManiSkill) -> float:
        height = CONTAINERS[environment.combination.container].height
        return height + CLEAR + self._below(environment)


def grasp_axes(pose: Pose, environment: ManiSkill) -> list[Float[np.ndarray, "3"]]:
    """Return the horizontal directions along which the fingers may close; empty: any.

    Args:
        pose: Pose of the target, which may have fallen over.
        environment: Environment whose target it is.
    """
    target = environment.combination.target
    shape, half = SHAPES[target.shape], target.half
    if shape.axis == "any" or (shape.axis == "z" and abs(pose.turn[2, 2]) > 0.7):
        return []
    if shape.axis:
        along = pose.turn[:, "xyz".index(shape.axis)]
        return [np.cross(along, (0.0, 0.0, 1.0))]
    level = [number for number in range(3) if abs(pose.turn[2, number]) < 0.5]
    widths = {number: half[number] for number in level if half[number] <= WIDEST}
    narrow = [number for number, width in widths.items() if width < 1.1 * min(widths.values())]
    return [pose.turn[:, number] for number in narrow]


def grasp_point(environment: ManiSkill) -> Float[np.ndarray, "3"]:
    """Return where the middle of the fingertips must be to grasp the target."""
    target, pose = environment.combination.target, environment.simulator.objects[0]
    point = pose.point + SHAPES[target.shape].grip * target.half[2] * pose.turn[:, 2]
    return np.array([point[0], point[1], max(point[2], LOWEST)])
