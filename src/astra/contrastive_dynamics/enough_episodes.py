"""Check before training that every micro-batch of a run will have enough episodes for negatives.

A micro-batch with windows of only one or two episodes has no negative, and would stop the run when it is drawn.
"""

import math

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from astra.contrastive_dynamics.negatives import MIN_EPISODES, TooFewEpisodesError

RISK = 0.1
"""Maximum number of micro-batches without a negative that a run may expect."""


def check_episodes(windows: Int64[np.ndarray, " E"], *, size: int, count: int) -> None:
    """Check that a run can draw negatives in all of its micro-batches.

    Args:
        windows: Number of windows of each episode.
        size: Trajectories per micro-batch.
        count: Number of micro-batches that the run draws.

    Raises:
        TooFewEpisodesError: if one of them is likely to have too few episodes.
    """
    if size < MIN_EPISODES or len(windows) < MIN_EPISODES:
        raise TooFewEpisodesError(
            f"contrastive dynamics learning needs trajectories of {MIN_EPISODES} episodes in each micro-batch, got "
            f"{len(windows)} episodes and micro-batches of {size} trajectories: raise batch_size, or lower "
            f"gradient_accumulation_steps"
        )
    expected = count * probability_of_two_episodes(windows, size)
    if expected > RISK:
        raise TooFewEpisodesError(
            f"a micro-batch of {size} trajectories out of {len(windows)} episodes is expected to contain only two "
            f"episodes about {expected:.2g} times in this run, and contrastive dynamics learning needs "
            f"{MIN_EPISODES}: raise batch_size, lower gradient_accumulation_steps, or collect more episodes"
        )


def probability_of_two_episodes(windows: Int64[np.ndarray, " E"], size: int) -> float:
    """Return an upper bound of the probability that all windows of a micro-batch are of two episodes.

    It is the sum over all pairs of episodes.
    """
    lengths, episodes = (torch.from_numpy(numbers).double() for numbers in np.unique(windows, return_counts=True))
    pairs = episodes[:, None] * episodes - torch.diag(episodes)  # each pair twice
    total = lengths @ episodes
    logarithm = _log_choose(lengths[:, None] + lengths, size) - _log_choose(total, size)
    return float((pairs * logarithm.exp()).sum() / 2)


def _log_choose(number: Float64[Tensor, "*any"], size: int) -> Float64[Tensor, "*any"]:
    """Return the logarithm of the number of ways to choose `size` of `number`."""
    left = number - size
    ways = torch.lgamma(number + 1) - torch.lgamma(left.clamp(min=0) + 1) - math.lgamma(size + 1)
    return ways.masked_fill(left < 0, -torch.inf)
