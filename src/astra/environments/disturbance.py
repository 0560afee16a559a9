"""Disturbances of a demonstration: the executed action has noise and pushes, the recorded one is the expert's own."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class Pushes:
    """How something pushes an arm aside now and then."""

    timesteps: tuple[int, int]
    """Range of the length of a push."""
    strength: tuple[float, float]
    """Range of its strength, as a share of the largest action."""
    directions: tuple[float, ...]
    """Factor of each dimension that is disturbed, the first ones of an action."""


class Disturbance:
    """Noise and pushes of one episode.

    Args:
        random: generator of the episode.
        pushes: what a push is like.
        noise: largest standard deviation of the noise; the episode draws its own from 0 to this.
        chance: probability per timestep that a push begins.
    """

    def __init__(self, random: np.random.Generator, pushes: Pushes, *, noise: float, chance: float) -> None:
        self._random, self._pushes, self._chance = random, pushes, chance
        self._deviation = noise * random.random()
        self._push, self._left = np.zeros(len(pushes.directions)), 0

    def __call__(self, action: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Return the action that is executed instead, which may lie outside the bounds."""
        number, random = len(self._push), self._random
        if self._left == 0 and random.random() < self._chance:
            sides = random.uniform(*self._pushes.strength) * random.choice([-1.0, 1.0], number)
            self._push = sides * self._pushes.directions
            self._left = int(random.integers(*self._pushes.timesteps))
        executed = action.astype(np.float64)
        executed[:number] += random.normal(0.0, self._deviation, number) + (self._push if self._left else 0.0)
        self._left = max(self._left - 1, 0)
        return executed
