"""The expert of ManiSkill: it knows all poses, grasps across the narrowest width, and grasps again after a failure.

Its actions are rounded to the centers of a discrete policy's bins, so whatever it does, such a policy can do.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float

from astra.environments.maniskill.environment import ManiSkill
from astra.environments.maniskill.objects import CONTAINERS, OPENING, SHAPES, WALL
from astra.environments.maniskill.simulator import Pose
from astra.environments.maniskill.world import BINS

Phase = Literal["above", "down", "close", "lift", "carry", "lower", "release"]
STEP, TURN = 0.1, -0.1
"""Meters and radians that an action of 1 asks for; ManiSkill's controller turns the other way."""
FASTEST, FASTEST_DOWN = 0.06, 0.05
"""Largest step in meters, and largest one downwards."""
HOVER = 0.09
"""Height in meters above the grasp at which the hand turns and waits."""
LOWEST = 0.011
"""Smallest height in meters of the middle of the fingertips, which reach 1 cm below it."""
NEAR, ALIGNED = 0.015, 0.12
"""Distance in meters and angle in radians at which the next phase begins."""
CLOSING, RELEASING = 4, 3
"""Timesteps for which the fingers close, and for which they open."""
PATIENCE = 15
"""Timesteps in which the hand must have come down; then it closes where it is."""
CLEAR = 0.04
"""Height in meters by which a carried object clears the rim of the container."""
WIDEST = OPENING / 2 - 0.002
"""Half of the largest width that is gripped."""


class ManiSkillExpert:
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
        self._phases: dict[Phase, Callable[[ManiSkill], tuple[np.ndarray, float]]] = {
            "above": self._above,
            "down": self._down,
            "close": self._close,
            "lift": self._lift,
            "carry": self._carry,
            "lower": self._lower,
            "release": self._release,
        }

    def act(self, environment: ManiSkill) -> Float[np.ndarray, "7"]:
        """Return the next action for the present state of the environment."""
        self._since += 1
        if self.phase in ("lift", "carry", "lower") and not environment.simulator.held:
            self._begin("above")
        goal, gripper = self._phases[self.phase](environment)
        tip = environment.simulator.tip
        step = goal - tip.point
        step *= min(1.0, FASTEST / max(float(np.linalg.norm(step)), 1e-9))
        step[2] = max(step[2], -FASTEST_DOWN)
        turn = self._turn(environment)
        action = np.concatenate([step / STEP, turn / TURN, [gripper]])
        return to_bins(action.clip(-1, 1), self.bins).astype(np.float32)

    def _begin(self, phase: Phase) -> None:
        self.phase, self._since = phase, 0

    def _above(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        grasp, tip = grasp_point(environment), environment.simulator.tip
        goal = grasp + np.array([0.0, 0.0, HOVER])
        away = float(np.linalg.norm((goal - tip.point)[:2]))
        if away > 3 * NEAR and tip.point[2] < goal[2] - NEAR:  # first up, so that nothing is swept away
            goal[:2] = tip.point[:2]
        elif away < NEAR and np.linalg.norm(self._turn(environment)) < ALIGNED:
            self._begin("down")
        return goal, 1.0

    def _down(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        grasp, tip = grasp_point(environment), environment.simulator.tip
        away = float(np.linalg.norm((grasp - tip.point)[:2]))
        if away > 3 * NEAR:
            self._begin("above")
        elif (away < NEAR / 2 and abs(grasp[2] - tip.point[2]) < 0.008) or self._since > PATIENCE:
            self._begin("close")
            return grasp, -1.0
        return grasp, 1.0

    def _close(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        if self._since >= CLOSING:
            if not environment.simulator.held:
                self._begin("above")
                return self._above(environment)
            self._begin("lift")
            return self._lift(environment)
        return environment.simulator.tip.point.copy(), -1.0

    def _lift(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        tip = environment.simulator.tip.point
        height = self._carrying(environment)
        if tip[2] > height - NEAR:
            self._begin("carry")
        return np.array([tip[0], tip[1], height]), -1.0

    def _carry(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        goal = self._over_container(environment)
        goal[2] = self._carrying(environment)
        if np.linalg.norm((goal - environment.simulator.tip.point)[:2]) < NEAR:
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

    def _release(self, environment: ManiSkill) -> tuple[np.ndarray, float]:
        simulator = environment.simulator
        if self._since <= RELEASING:
            return simulator.tip.point.copy(), 1.0
        container = CONTAINERS[environment.combination.container]
        inside = container.holds(simulator.container.turn.T @ (simulator.objects[0].point - simulator.container.point))
        if not inside:
            self._begin("above")
        return simulator.tip.point + np.array([0.0, 0.0, FASTEST]), 1.0

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

    def _turn(self, environment: ManiSkill) -> np.ndarray:
        """Return the rotation vector that points the hand down and turns its fingers across the target."""
        tip = environment.simulator.tip
        down = np.array([0.0, 0.0, -1.0])
        turn = np.cross(tip.turn[:, 2], down)
        if self.phase in ("above", "down"):
            turn += (0.0, 0.0, self._yaw(environment))
        return turn

    def _yaw(self, environment: ManiSkill) -> float:
        """Return the angle by which the fingers must turn about the vertical axis."""
        tip, target = environment.simulator.tip, environment.simulator.objects[0]
        fingers = math.atan2(tip.turn[1, 1], tip.turn[0, 1])
        angles = [math.atan2(axis[1], axis[0]) for axis in grasp_axes(target, environment)]
        turns = [(angle - fingers + math.pi / 2) % math.pi - math.pi / 2 for angle in angles]  # both ways are the same
        return min(turns, key=abs, default=0.0)


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


def to_bins(action: Float[np.ndarray, "*B 7"], bins: int) -> Float[np.ndarray, "*B 7"]:
    """Round all but the gripper to the centers of bins of equal width from -1 to 1; 0 bins leave them as they are."""
    if bins == 0:
        return action
    numbers = np.clip(np.floor((action + 1) / 2 * bins), 0, bins - 1)
    return np.concatenate([((numbers + 0.5) / bins * 2 - 1)[..., :6], np.sign(action[..., 6:])], axis=-1)
