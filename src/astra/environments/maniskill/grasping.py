"""The grasp that all experts of ManiSkill share: above, down, close, and again after a failure, in a policy's bins."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Float

from astra.environments.maniskill.world import BINS, ArmWorld
from astra.environments.spaces import in_bins

World = TypeVar("World", bound=ArmWorld)
Phase = Literal["above", "down", "close", "lift", "carry", "lower", "release"]
STEP, TURN = 0.1, -0.1
"""Meters and radians that an action of 1 asks for; ManiSkill's controller turns the other way."""
FASTEST, FASTEST_DOWN = 0.06, 0.05
"""Largest step in meters, and largest one downwards."""
HOVER, HOVER_AGAIN = 0.09, 0.035
"""Height in meters above the grasp at which the hand turns and waits, at first and after a failed grasp."""
LOWEST = 0.011
"""Smallest height in meters of the middle of the fingertips, which reach 1 cm below it."""
CLOSING, RELEASING = 4, 3
"""Timesteps for which the fingers close, and for which they open."""
PATIENCE = 15
"""Timesteps in which the hand must have come down or lowered; then it goes on where it is."""


class GraspingExpert(ABC, Generic[World]):
    """Expert of one episode.

    Args:
        seed: ignored; all experts take one, and this one draws no random numbers.
        bins: number of bins per dimension to whose centers actions are rounded; 0: none.
    """

    NEAR: ClassVar[float]
    """Distance in meters at which the next phase begins."""
    ALIGNED: ClassVar[float]
    """Angle in radians at which the hand comes down."""
    DEEP: ClassVar[float]
    """Height in meters above the grasp at which the fingers close."""
    HOLDING: ClassVar[tuple[Phase, ...]]
    """Phases in which the target is held, the first one after the grasp first."""

    def __init__(self, seed: int = 0, bins: int = BINS) -> None:
        del seed
        self.bins = bins
        self.phase: Phase = "above"
        """Present phase of the grasp."""
        self._since, self._hover = 0, HOVER
        self._phases: dict[Phase, Callable[[World], tuple[np.ndarray, float]]] = {
            "above": self._above,
            "down": self._down,
            "close": self._close,
            "release": self._release,
            **self.holding(),
        }

    def act(self, environment: World) -> Float[np.ndarray, "7"]:
        """Return the next action for the present state of the environment."""
        self._since += 1
        if self.phase in self.HOLDING and not environment.simulator.held:
            self._begin_again()
        goal, gripper = self._phases[self.phase](environment)
        step = goal - environment.simulator.tip.point
        step *= min(1.0, FASTEST / max(float(np.linalg.norm(step)), 1e-9))
        step[2] = max(step[2], -FASTEST_DOWN)
        pose = np.concatenate([step / STEP, self._turn(environment) / TURN]).clip(-1, 1)
        return np.array([*in_bins(pose, self.bins), gripper], np.float32)

    @abstractmethod
    def holding(self) -> Mapping[Phase, Callable[[World], tuple[np.ndarray, float]]]:
        """Return the function of each phase in which the target is held."""

    @abstractmethod
    def grasp(self, environment: World) -> Float[np.ndarray, "3"]:
        """Return where the middle of the fingertips must be to grasp the target."""

    @abstractmethod
    def yaw(self, environment: World) -> float:
        """Return the angle by which the fingers must turn about the vertical axis to grasp the target."""

    @abstractmethod
    def placed(self, environment: World) -> bool:
        """Return whether a target that was let go is where it belongs."""

    def _begin(self, phase: Phase) -> None:
        self.phase, self._since = phase, 0

    def _begin_again(self) -> None:
        self._begin("above")
        self._hover = HOVER_AGAIN

    def _above(self, environment: World) -> tuple[np.ndarray, float]:
        grasp, tip = self.grasp(environment), environment.simulator.tip.point
        goal = grasp + np.array([0.0, 0.0, self._hover])
        away = float(np.linalg.norm((goal - tip)[:2]))
        if away > 3 * self.NEAR and tip[2] < goal[2] - self.NEAR:  # first up, so that nothing is swept away
            goal[:2] = tip[:2]
        elif away < self.NEAR and np.linalg.norm(self._turn(environment)) < self.ALIGNED:
            self._begin("down")
        return goal, 1.0

    def _down(self, environment: World) -> tuple[np.ndarray, float]:
        grasp, tip = self.grasp(environment), environment.simulator.tip.point
        away = float(np.linalg.norm((grasp - tip)[:2]))
        if away > 3 * self.NEAR:
            self._begin("above")
        elif (away < self.NEAR / 2 and abs(grasp[2] - tip[2]) < self.DEEP) or self._since > PATIENCE:
            self._begin("close")
            return grasp, -1.0
        return grasp, 1.0

    def _close(self, environment: World) -> tuple[np.ndarray, float]:
        if self._since >= CLOSING:
            if environment.simulator.held:
                self._begin(self.HOLDING[0])
            else:
                self._begin_again()
            return self._phases[self.phase](environment)
        return environment.simulator.tip.point.copy(), -1.0

    def _release(self, environment: World) -> tuple[np.ndarray, float]:
        tip = environment.simulator.tip.point
        if self._since <= RELEASING:
            return tip.copy(), 1.0
        if not self.placed(environment):
            self._begin_again()
        return tip + np.array([0.0, 0.0, FASTEST]), 1.0

    def _turn(self, environment: World) -> np.ndarray:
        """Return the rotation vector that points the hand down and turns its fingers to the target."""
        turn = np.cross(environment.simulator.tip.turn[:, 2], (0.0, 0.0, -1.0))
        if self.phase in ("above", "down"):
            turn[2] += self.yaw(environment)
        return turn
