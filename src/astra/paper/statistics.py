"""Numbers of a row with intervals, over the chance of training and that of the episodes.

The scores of a row are a matrix: one line per training seed, one column per episode, the same episodes for all seeds
and rows. Each resample draws seeds and episodes, both with replacement, and averages over what was drawn; seeds and
episodes are crossed, so an episode that is drawn twice counts twice under every seed. For a difference the matrix is
that of the differences, seed by seed and episode by episode.

With one seed nothing is known of the chance of training: the interval is that of its episodes alone, Wilson's for a
share. So it is where every episode of every seed ended alike. With three seeds little is known of training: such
intervals are too short where seeds differ more than episodes do.

Source: A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from astra.evaluation.success import Estimate, bootstrap_interval, wilson_interval

RESAMPLES = 10_000


def two_level_bootstrap(
    values: Float[np.ndarray, "K E"],
    strata: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean over seeds and episodes by the percentile bootstrap over both.

    Args:
        values: of K training seeds in E episodes.
        strata: of each episode, such as its task; each stratum keeps its number of episodes. None: one for all.
        confidence: of the interval.
        resamples: how often seeds and episodes are drawn.
        seed: of the drawing.

    Raises:
        ValueError: if there are no values.
    """
    K, E = values.shape
    if values.size == 0:
        raise ValueError(f"a mean needs at least one seed and one episode, got {K} and {E}")
    generator = np.random.default_rng(seed)
    seeds = generator.multinomial(K, np.full(K, 1 / K), size=resamples) / K
    episodes = np.zeros((resamples, E))
    names = np.zeros(E, np.int64) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    for name in np.unique(names):
        mine = np.flatnonzero(names == name)
        episodes[:, mine] = generator.multinomial(len(mine), np.full(len(mine), 1 / len(mine)), size=resamples)
    means = ((seeds @ values) * episodes).sum(axis=1) / E
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(value=float(values.mean()), low=float(low), high=float(high), confidence=confidence)


def row_mean(values: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None, *, share: bool) -> Estimate:
    """Estimate a row's mean: two levels with several seeds, the episodes alone with one.

    Args:
        values: of K training seeds in E episodes.
        strata: of each episode.
        share: whether values are successes, 0 or 1.
    """
    if share and len(values) > 1 and values.min() == values.max():
        # Drawing from what is always the same says that nothing is left to chance; one seed's episodes say more.
        return wilson_interval(int(values[0].sum()), values.shape[1])
    if len(values) > 1:
        return two_level_bootstrap(values, strata)
    if share:
        return wilson_interval(int(values.sum()), values.size)
    return bootstrap_interval(values[0], resamples=RESAMPLES)


def paired_difference(
    ours: Float[np.ndarray, "K E"], theirs: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None
) -> Estimate:
    """Estimate how much higher the first row's mean is, paired by seed and episode."""
    return two_level_bootstrap(ours - theirs, strata)
