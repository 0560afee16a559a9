"""The tabletop expert as an agent: exact, or through the bins of a discrete policy."""

import numpy as np
from jaxtyping import Float

from astra.environments.tabletop.environment import ACTIONS, Tabletop


class TabletopExpert:
    """Expert that knows the goals and the pose of every object."""

    def __init__(self, seed: int) -> None:
        """Take a seed, as every agent of an evaluation does; this one draws no random numbers."""

    def act(self, environment: Tabletop) -> Float[np.ndarray, "6"]:
        """Return the expert's action."""
        return environment.expert_action()


class BinnedExpert:
    """Expert whose actions are rounded to the centers of bins: an upper bound for discrete policies."""

    def __init__(self, seed: int) -> None:
        """Take a seed, as every agent of an evaluation does; this one draws no random numbers."""

    def act(self, environment: Tabletop) -> Float[np.ndarray, "6"]:
        """Return the bin centers of the expert's action."""
        return binned(environment.expert_action())


def binned(action: Float[np.ndarray, "6"]) -> Float[np.ndarray, "6"]:
    """Return the centers of the bins that an action falls into."""
    low, high, bins = np.array(ACTIONS.low), np.array(ACTIONS.high), np.array(ACTIONS.bins)
    index = np.clip(np.floor((action - low) / (high - low) * bins), 0, bins - 1)
    return (low + (index + 0.5) / bins * (high - low)).astype(np.float32)
