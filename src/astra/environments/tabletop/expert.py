"""The expert of the tabletop as an agent: exact, or through the bins of a discrete policy."""

import numpy as np
from jaxtyping import Float

from astra.environments.tabletop.environment import ACTIONS, Tabletop


class TabletopExpert:
    """The expert."""

    def __init__(self, seed: int) -> None:
        """Take a seed, as agents of an evaluation do; nothing here is random."""

    def act(self, environment: Tabletop) -> Float[np.ndarray, "6"]:
        """Return the oracle's action."""
        return environment.expert_action()


class BinnedExpert:
    """The expert, through a policy's bins: the most that a policy with discrete actions can reach."""

    def __init__(self, seed: int) -> None:
        """Take a seed, as agents of an evaluation do; nothing here is random."""

    def act(self, environment: Tabletop) -> Float[np.ndarray, "6"]:
        """Return the centers of the bins of the oracle's action."""
        return binned(environment.expert_action())


def binned(action: Float[np.ndarray, "6"]) -> Float[np.ndarray, "6"]:
    """Return the centers of the bins in which an action lies."""
    low, high, bins = np.array(ACTIONS.low), np.array(ACTIONS.high), np.array(ACTIONS.bins)
    index = np.clip(np.floor((action - low) / (high - low) * bins), 0, bins - 1)
    return (low + (index + 0.5) / bins * (high - low)).astype(np.float32)
