"""Whether the micro-batches of a run will hold the episodes that negatives are made of, told before it begins.

A micro-batch of windows of one or two episodes alone has no negative, and would end the run wherever chance draws it.
"""

import math

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from astra.contrastive_dynamics.negatives import FEWEST_CONTRASTED, TooFewEpisodesError

RISK = 0.1
"""So many micro-batches without a negative a run may expect."""


def check_episodes(windows: Int64[np.ndarray, " E"], *, size: int, count: int) -> None:
    """Check that a run can make negatives to its end.

    Args:
        windows: how many each episode has.
        size: trajectories of a micro-batch.
        count: micro-batches that the run draws.

    Raises:
        TooFewEpisodesError: if one of them is likely to hold too few.
    """
    if size < FEWEST_CONTRASTED or len(windows) < FEWEST_CONTRASTED:
        raise TooFewEpisodesError(
            f"contrastive dynamics learning makes negatives out of {FEWEST_CONTRASTED} trajectories of as many "
            f"episodes, but of {len(windows)} episodes the batch leaves {size} in each micro-batch: raise batch_size, "
            f"or lower accumulate"
        )
    expected = count * of_two_episodes(windows, size)
    if expected > RISK:
        raise TooFewEpisodesError(
            f"a micro-batch of {size} trajectories out of {len(windows)} episodes holds those of two alone about "
            f"{expected:.2g} times in this run, and contrastive dynamics learning would find no negative there: raise "
            f"batch_size, lower accumulate, or give more episodes"
        )


def of_two_episodes(windows: Int64[np.ndarray, " E"], size: int) -> float:
    """Bound the chance that so many different windows are of two episodes, by the sum over all pairs of these."""
    lengths, episodes = (torch.from_numpy(numbers).double() for numbers in np.unique(windows, return_counts=True))
    pairs = episodes[:, None] * episodes - torch.diag(episodes)  # each pair twice
    everything = lengths @ episodes
    logarithm = _choose(lengths[:, None] + lengths, size) - _choose(everything, size)
    return float((pairs * logarithm.exp()).sum() / 2)


def _choose(number: Float64[Tensor, "*any"], size: int) -> Float64[Tensor, "*any"]:
    """Give the logarithm of the number of ways to choose."""
    left = number - size
    ways = torch.lgamma(number + 1) - torch.lgamma(left.clamp(min=0) + 1) - math.lgamma(size + 1)
    return ways.masked_fill(left < 0, -torch.inf)
