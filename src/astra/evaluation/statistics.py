"""Means and differences of rows, with intervals over training seeds and evaluation episodes.

The scores of a row are a matrix: one line per training seed, one column per episode. All seeds and rows play the same
episodes, so seeds and episodes are crossed. Each resample draws seeds and episodes with replacement, and averages what
was drawn: an episode that is drawn twice counts twice under every seed. A difference of two rows is the same estimate
on the matrix of differences.

One seed says nothing about the variance of training. The interval then covers its episodes alone (Wilson's for
success), and so it does where each episode ends alike for all seeds and episodes. With three seeds, intervals are too
short where seeds differ more than episodes do.

Source: A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from astra.evaluation.success import Estimate, bootstrap_interval, wilson_interval

RESAMPLES = 10_000
POWER = 0.8
"""Probability with which a detectable difference is found."""


def two_level_bootstrap(
    values: Float[np.ndarray, "K E"],
    strata: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean over seeds and episodes, with the percentile bootstrap over both.

    Args:
        values: scores of K training seeds on E episodes.
        strata: stratum of each episode, such as its task; each keeps its number of episodes. None: one stratum.
        confidence: coverage of the interval.
        resamples: number of resamples.
        seed: seed of the random numbers.

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
    """Estimate the mean of a row: over seeds and episodes, or over episodes alone where there is one seed.

    Args:
        values: scores of K training seeds on E episodes.
        strata: stratum of each episode.
        share: whether values are successes, 0 or 1.
    """
    if share and len(values) > 1 and values.min() == values.max():
        # Resamples of constant values have no variance; the Wilson interval of one seed's episodes is honest.
        return wilson_interval(int(values[0].sum()), values.shape[1])
    if len(values) > 1:
        return two_level_bootstrap(values, strata)
    if share:
        return wilson_interval(int(values.sum()), values.size)
    return bootstrap_interval(values[0], resamples=RESAMPLES)


def paired_difference(
    ours: Float[np.ndarray, "K E"], theirs: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None
) -> Estimate:
    """Estimate the first row's mean minus the second's, paired by seed and episode."""
    return two_level_bootstrap(ours - theirs, strata)


def smallest_detectable(difference: Estimate) -> float:
    """Return the true difference that would be found in 80 % of such comparisons, by an interval that excludes 0.

    The standard error is that of the interval, so it is too small where few seeds make the interval too short.
    """
    normal = NormalDist()
    z = normal.inv_cdf(0.5 + difference.confidence / 2)
    return (z + normal.inv_cdf(POWER)) * (difference.high - difference.low) / (2 * z)
