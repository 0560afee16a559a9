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

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from astra.evaluation.success import Estimate, mean_interval, wilson_interval

RESAMPLES = 10_000
POWER = 0.8
"""Share of repeated comparisons in which a detectable difference shows."""


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
    means = _resampled_means(values, strata, resamples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(value=float(values.mean()), low=float(low), high=float(high), confidence=confidence)


def _resampled_means(
    values: Float[np.ndarray, "K E"], strata: Sequence[str] | None, resamples: int, seed: int
) -> Float[np.ndarray, " R"]:
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
    return ((seeds @ values) * episodes).sum(axis=1) / E


def nested_bootstrap(
    values: Sequence[Float[np.ndarray, " _"]], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimate the mean over seeds that have episodes of their own: resample seeds, then the episodes of each.

    Args:
        values: one number per episode, for each training seed.
        confidence: coverage of the interval.
        resamples: number of resamples.
        seed: seed of the random numbers.
    """
    generator, K = np.random.default_rng(seed), len(values)
    means = np.zeros(resamples)
    for _ in range(K):
        chosen = generator.integers(K, size=resamples)
        for number, own in enumerate(values):
            mine = np.flatnonzero(chosen == number)
            weights = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), size=len(mine)) / len(own)
            means[mine] += weights @ own / K
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    value = float(np.mean([own.mean() for own in values]))
    return Estimate(value=value, low=float(low), high=float(high), confidence=confidence)


def row_mean(values: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None) -> Estimate:
    """Estimate the mean of a row: over seeds and episodes, or over episodes alone where there is one seed.

    Args:
        values: scores of K training seeds on E episodes; where all are 0 or 1, they are taken for shares.
        strata: stratum of each episode.
    """
    if len(values) > 1 and values.min() == values.max() and values.flat[0] in (0, 1):
        # Resamples of constant values have no variance; the Wilson interval of one seed's episodes is honest.
        return wilson_interval(int(values[0].sum()), values.shape[1])
    return two_level_bootstrap(values, strata) if len(values) > 1 else mean_interval(values[0].tolist())


def paired_difference(
    ours: Float[np.ndarray, "K E"], theirs: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None
) -> Estimate:
    """Estimate the first row's mean minus the second's, paired by seed and episode."""
    return two_level_bootstrap(ours - theirs, strata)


def detectable_difference(
    ours: Float[np.ndarray, "K E"], theirs: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None
) -> float:
    """Return the smallest true difference that such a comparison shows four times out of five.

    It shows if its 95 % interval leaves out zero. The standard error is that of the bootstrap, widened by
    sqrt(K / (K - 1)) because a bootstrap over K seeds is too narrow. With one seed it covers the episodes alone.
    """
    K = len(ours)
    error = float(_resampled_means(ours - theirs, strata, RESAMPLES, 0).std())
    normal = NormalDist()
    return (normal.inv_cdf(0.975) + normal.inv_cdf(POWER)) * error * math.sqrt(K / (K - 1) if K > 1 else 1)


@dataclass(frozen=True, kw_only=True)
class SeedDifference:
    """Difference of two rows in a number that each training seed has one of, such as a held-out loss."""

    estimate: Estimate
    """Mean difference over seeds, with Student's interval."""
    detectable: float
    """Smallest true difference that so many seeds show four times out of five."""


def mean_by_seed(values: Float[np.ndarray, " K"]) -> Estimate:
    """Estimate a mean over training seeds from one number per seed, with Student's interval.

    Raises:
        ValueError: if there are fewer than two seeds, which have no variance.
    """
    return difference_by_seed(values, np.zeros_like(values)).estimate


def difference_by_seed(ours: Float[np.ndarray, " K"], theirs: Float[np.ndarray, " K"]) -> SeedDifference:
    """Estimate a difference that is paired by training seed, from one number per seed.

    Few differences show far smaller effects in a loss than in success, because a loss has little noise of its own.

    Raises:
        ValueError: if there are fewer than two seeds, which have no variance.
    """
    K = len(ours)
    if K < 2:
        raise ValueError(f"an interval over seeds needs at least two, got {K}")
    differences = ours - theirs
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(K)
    half = student_quantile(0.975, K - 1) * error
    return SeedDifference(
        estimate=Estimate(value=mean, low=mean - half, high=mean + half),
        detectable=half + student_quantile(POWER, K - 1) * error,
    )


@cache
def student_quantile(probability: float, freedom: int) -> float:
    """Return a quantile of Student's distribution above the median, by summing its density.

    Args:
        probability: probability below the quantile, 0.5 to 0.99.
        freedom: degrees of freedom.
    """
    # With x = sqrt(freedom) * tan(angle), the density is cos(angle) ** (freedom - 1) over angles of -90 to 90 degrees.
    angles = np.linspace(0, math.pi / 2, 200_001)
    below = np.cumsum(np.cos((angles[1:] + angles[:-1]) / 2) ** (freedom - 1))
    angle = np.interp((2 * probability - 1) * below[-1], below, angles[1:])
    return math.sqrt(freedom) * math.tan(float(angle))
