"""Gymnasium's spaces of environments with states, frames and actions from -1 to 1; checks and bins of such actions."""

from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float

from astra.trajectory import TrajectorySpec

SLACK = 1e-6
"""Excess over 1 that rounding to float32 may cause; such an action is clipped."""


def unit_action_space(spec: TrajectorySpec) -> gymnasium.spaces.Box:
    """Return the space of actions from -1 to 1."""
    return gymnasium.spaces.Box(-1.0, 1.0, (len(spec.actions),), np.float32)


def observation_space(spec: TrajectorySpec, bound: float) -> gymnasium.Space[Any]:
    """Return the space of state vectors between plus and minus a bound, and of frames.

    Args:
        spec: Names and sizes of the observations.
        bound: Largest absolute value of a number.
    """
    vectors = {name: gymnasium.spaces.Box(-bound, bound, (size,), np.float32) for name, size in spec.states.items()}
    frames = {name: gymnasium.spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in spec.images.items()}
    return gymnasium.spaces.Dict({**vectors, **frames})


def unit_action(action: np.ndarray, size: int, expected: str) -> Float[np.ndarray, " N"]:
    """Return an action as float64, clipped to -1 to 1.

    Args:
        action: The action.
        size: Number of its dimensions.
        expected: What it should be, for the message: "an action of X is N finite numbers from -1 to 1 (...)".

    Raises:
        ValueError: if it has another shape, is not finite, or exceeds 1.
    """
    numbers = np.asarray(action, np.float64)
    if numbers.shape != (size,) or not np.isfinite(numbers).all() or np.abs(numbers).max() > 1 + SLACK:
        raise ValueError(f"{expected}, got {action!r}")
    return numbers.clip(-1, 1)


def in_bins(numbers: Float[np.ndarray, "*B N"], bins: int) -> Float[np.ndarray, "*B N"]:
    """Return the centers of the bins, of equal width from -1 to 1, in which numbers lie; of 0 bins, the numbers.

    A policy with discrete actions acts with such centers.
    """
    if bins == 0:
        return numbers
    places = np.floor((numbers.astype(np.float64) + 1) / 2 * bins).clip(0, bins - 1)
    return (places + 0.5) / bins * 2 - 1
