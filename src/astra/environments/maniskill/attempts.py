"""Grasp attempts: how often the gripper closes at the target, and whether the target is lifted. Needs no simulator.

It looks at the world and the executed actions alone, so it counts those of any policy and of the expert alike.

Source: Figure 6 and appendix A.7 of the paper count "grasp attempts" without a definition; this one is ours.
"""

import numpy as np
from jaxtyping import Float

NEAR = 0.08
"""Largest distance in meters between the middle of the fingertips and that of the target at which closing counts."""
LIFTED = 0.02
"""Height in meters by which a target that is held must have risen for the attempt to be a success."""
OPEN_BEFORE = 2
"""Timesteps for which the gripper must be told to open until an attempt ends and another can begin."""


class Attempts:
    """Attempts of one episode.

    An attempt begins when the gripper, which was open, is told to close near the target. It succeeds when the target is
    lifted between the fingers. It has failed when the gripper opens again for OPEN_BEFORE timesteps, or the episode
    ends without success, before that.
    """

    def __init__(self) -> None:
        self.begun: list[int] = []
        """Timestep of each attempt."""
        self.lifted: list[bool] = []
        """Whether each attempt has lifted the target."""
        self.first_failed = False
        """Whether the first attempt has failed."""
        self._open_for = OPEN_BEFORE
        self._under_way = False

    def note(self, timestep: int, *, closes: bool, near: bool, held: bool, risen: float, ends: bool) -> None:
        """Note what happened in a timestep.

        Args:
            timestep: Number of the timestep, from 0 on.
            closes: Whether the action told the gripper to close.
            near: Whether the fingertips were at the target, before the action.
            held: Whether both fingers hold the target, after the action.
            risen: Height in meters by which the target is above its place at the start, after the action.
            ends: Whether the episode ends here without success.
        """
        if closes and self._open_for >= OPEN_BEFORE and near:
            self.begun.append(timestep)
            self.lifted.append(False)
            self._under_way = True
        self._open_for = 0 if closes else self._open_for + 1
        if self._under_way and held and risen > LIFTED:
            self.lifted[-1] = True
        if self._under_way and (self._open_for >= OPEN_BEFORE or ends):
            self.first_failed |= not self.lifted[0]
            self._under_way = False


def distance_to_box(point: Float[np.ndarray, "3"], half: Float[np.ndarray, "3"]) -> float:
    """Return the distance in meters of a point to a box around the origin; 0 inside.

    Args:
        point: Point in the axes of the box, in meters.
        half: Half of the sides of the box, in meters.
    """
    return float(np.linalg.norm(np.maximum(np.abs(point) - half, 0.0)))
