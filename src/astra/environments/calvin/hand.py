"""Motions of the expert's hand: straight ways of the gripper's target, in steps that relative actions can express."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from astra.environments.calvin.simulator import STEP, TURN, Simulator
from astra.storage.numbers import NotNegative, Share, check_numbers

Steps = Iterator[Float[np.ndarray, "7"]]
"""Actions of a motion, one per timestep."""
Lean = tuple[float, float]
"""Angles in radians by which the fingers point aside and ahead, in the hand's own frame, instead of down."""
UPRIGHT: Lean = (0.0, 0.0)
"""No lean."""
HOLDING = 0.01
"""Opening of closed fingers in meters beyond which they hold something."""
STRIDE, SWING = 0.015, 0.045
"""Longest step of the target in meters, and largest turn in radians, per timestep."""
DOWN = np.pi
"""Roll of the gripper that points down."""
BASE = np.array([-0.34, -0.46])
"""Place of the robot's base."""
FORWARD = np.pi / 2
"""Yaw at which the fingers open along the table's long side."""
LOW, HIGH = 0.56, 0.66
"""Heights at which the hand travels over the table, and over the cabinet with its handles."""
CABINET, OUT_OF_CABINET = -0.07, 0.03
"""Where the cabinet begins, in y, and how far the hand comes to the front when it rises from it, off its upper edge."""
CLOSED, OPEN = -1.0, 1.0
"""Gripper actions."""
GRIP, RELEASE = 7, 5
"""Timesteps that closing and opening take."""
NEAR, NEAR_TURN = 0.005, 0.03
"""Distance in meters and angle in radians within which the target counts as there; noise may keep it off."""
PATIENCE = 8
"""Timesteps that the hand waits for the arm to arrive where its target is."""
JITTER_IN_CONTACT = 0.15
"""Share of the jitter that waypoints at an object get."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How one demonstration differs from the next; zeros: the expert always does the same."""

    jitter: NotNegative = 0.0
    """Standard deviation in meters of each waypoint on the way; of those at an object, 0.15 of it."""
    slowest: Share = 0.0
    """Each way is made at a speed that is smaller than the full one by up to this share."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


class Hand:
    """The gripper as the expert moves it.

    Args:
        simulator: Simulator whose exact state is read.
        variation: How much the motions vary.
        random: Generator of the variation.
    """

    def __init__(self, simulator: Simulator, variation: Variation, random: np.random.Generator) -> None:
        self.simulator = simulator
        self.gripper = float(simulator.robot.gripper_action)
        """The gripper action of every step until it is changed."""
        self.attempt = 0
        """Number of attempts at the task before this one."""
        self._variation = variation
        self._random = random

    @property
    def position(self) -> Float[np.ndarray, "3"]:
        """Position between the finger tips."""
        return self.simulator.proprioception[:3]

    def to(
        self,
        position: Float[np.ndarray, "3"],
        *,
        yaw: float = FORWARD,
        lean: Lean = UPRIGHT,
        free: bool = False,
        arrived: float = 0.008,
        speed: float = 1.0,
    ) -> Steps:
        """Move on a straight line until the arm is there, or waits for longer than an obstacle should last.

        Args:
            position: Where to, in meters.
            yaw: Turn about the vertical axis, in radians.
            lean: Angles in radians by which the fingers point aside and ahead instead of down.
            free: Whether the way is far from objects, so that it may vary more.
            arrived: Largest distance in meters at which the arm counts as there.
            speed: Share of the full speed.
        """
        spread = self._variation.jitter * (1.0 if free else JITTER_IN_CONTACT)
        goal = np.asarray(position) + spread * self._random.normal(size=3) * (1.0, 1.0, 0.6)
        speed *= 1.0 - self._variation.slowest * self._random.random()
        angles = np.array([DOWN + lean[0], -lean[1], yaw])
        waited = 0
        while waited < PATIENCE:
            place, turn = self.simulator.target
            way, left = goal - place, angles - turn
            far = float(np.linalg.norm(way))
            if far < NEAR and np.abs(left).max() < NEAR_TURN:
                waited += 1
                if np.linalg.norm(goal - self.position) < arrived:
                    return
            if far > STRIDE * speed:
                way = way * (STRIDE * speed / far)
            yield np.array([*(way / STEP), *(left.clip(-SWING, SWING) / TURN), self.gripper])

    def travel(self, position: Float[np.ndarray, "3"], *, yaw: float = FORWARD, lean: Lean = UPRIGHT) -> Steps:
        """Rise, and move over obstacles to above a position."""
        here = self.position
        crossing = max(here[1], position[1]) > CABINET
        height = max(HIGH if crossing else LOW, float(position[2]))
        if here[2] < height - 0.02:
            over = np.array([here[0], min(here[1], OUT_OF_CABINET), height])
            yield from self.to(over, yaw=self.yaw, lean=self.lean, arrived=0.03)
        over = np.array([position[0], position[1], height])
        yield from self.to(over, yaw=yaw, lean=lean, free=True, arrived=0.02)

    def close(self) -> Steps:
        """Close the fingers."""
        self.gripper = CLOSED
        yield from self.stay(GRIP)

    def open(self) -> Steps:
        """Open the fingers."""
        self.gripper = OPEN
        yield from self.stay(RELEASE)

    def stay(self, timesteps: int) -> Steps:
        """Let timesteps pass."""
        for _ in range(timesteps):
            yield np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, self.gripper])

    def let_go(self) -> Steps:
        """Release what is held, and rise away from what the hand was at."""
        switch, here = self.simulator.box("switch_link"), self.position
        if (np.abs(here - switch.mean(0)) < (0.09, 0.09, 0.12)).all():
            yield from self.to(shifted(here, y=-0.07), arrived=0.03)
        if self.gripper == CLOSED and self.simulator.proprioception[6] > HOLDING:
            yield from self.open()
        here = self.position
        if here[2] < LOW:
            over = np.array([here[0], min(here[1], OUT_OF_CABINET), LOW])
            yield from self.to(over, yaw=self.yaw, lean=self.lean, arrived=0.03)

    @property
    def yaw(self) -> float:
        """Yaw of the target, in radians."""
        return float(self.simulator.target[1][2])

    @property
    def lean(self) -> Lean:
        """Lean of the target, in radians; what is held keeps its pose in the hand while this is kept."""
        roll, pitch, _ = self.simulator.target[1]
        return float(roll - DOWN), float(-pitch)


def shifted(position: Float[np.ndarray, "3"], x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Float[np.ndarray, "3"]:
    """Return a position moved along the axes, in meters."""
    return position + np.array([x, y, z])


def outward(position: Float[np.ndarray, "3"], angle: float) -> Lean:
    """Return the lean away from the robot's base with which a hand of the yaw FORWARD reaches farther."""
    x, y = angle * (position[:2] - BASE) / np.linalg.norm(position[:2] - BASE)
    return float(-x), float(y)


def pointing(lean: Lean) -> Float[np.ndarray, "3"]:
    """Return the direction, of length 1, in which the fingers of a hand of the yaw FORWARD point."""
    aside, ahead = lean
    x, y = np.sin(ahead) * np.cos(aside), np.sin(aside)
    down = -np.cos(ahead) * np.cos(aside)
    cos, sin = np.cos(FORWARD), np.sin(FORWARD)
    return np.array([cos * x - sin * y, sin * x + cos * y, down])


def lean_of(fingers: Float[np.ndarray, "3"], yaw: float) -> Lean:
    """Return the lean with which a hand of some yaw points its fingers in a direction of length 1."""
    x = np.cos(yaw) * fingers[0] + np.sin(yaw) * fingers[1]
    y = np.cos(yaw) * fingers[1] - np.sin(yaw) * fingers[0]
    return float(np.arcsin(y)), float(np.arctan2(x, -fingers[2]))
