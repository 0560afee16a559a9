"""Means and differences of rows, with intervals over training seeds and evaluation episodes.

The scores of a row are a matrix: one line per training seed, one column per episode. All seeds and rows play the same
episodes, so seeds and episodes are crossed. Each resample draws seeds and episodes with replacement, and averages what
was drawn: an episode that is drawn twice counts twice under every seed. A difference of two rows is the same estimate
on the matrix of differences. Each stratum of episodes, such as a task, keeps its number of episodes.

One seed says nothing about the variance of training. The interval then covers its episodes alone (Wilson's for
success). Where resamples of shares do not vary, because all episodes of a stratum end alike, Wilson's interval is taken
too, and Newcombe's for differences. With three seeds, intervals are too short where seeds differ more than episodes do.

Source: A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007. Strata: J. Rao and C. Wu, "Resampling
inference with complex survey data", JASA 1988.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from astra.evaluation.success import Estimate, bootstrap_interval, difference, mean_of_those, wilson_interval

RESAMPLES = 10_000
POWER = 0.8
"""Share of repeated comparisons in which a detectable difference shows."""
ROUNDING = 1e-9
"""Differences up to this share of the largest number, or of 1, are taken for rounding."""


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
            Those of one episode are put together, because one episode says nothing about its stratum.
        confidence: coverage of the interval.
        resamples: number of resamples.
        seed: seed of the random numbers.

    Raises:
        ValueError: if there are no values.
    """
    means = _resampled_means(values, strata, resamples, seed)
    return _between_quantiles(means, values, confidence)


def _between_quantiles(
    means: Float[np.ndarray, " R"], values: Float[np.ndarray, "..."], confidence: float = 0.95
) -> Estimate:
    """Return the mean of values with quantiles of its resamples, none of which can lie beyond all values."""
    tail = (1 - confidence) / 2
    low, high = np.clip(np.quantile(means, [tail, 1 - tail]), values.min(), values.max())
    return Estimate(value=float(values.mean()), low=float(low), high=float(high), confidence=confidence)


def _resampled_means(
    values: Float[np.ndarray, "K E"], strata: Sequence[str] | None, resamples: int, seed: int
) -> Float[np.ndarray, " R"]:
    """Return the mean of each resample.

    Resamples of n episodes vary less than n new ones, by sqrt((n - 1) / n). So what differs from the mean of a stratum
    is stretched by the inverse.
    """
    K, E = values.shape
    if values.size == 0:
        raise ValueError(f"a mean needs at least one seed and one episode, got {K} and {E}")
    generator = np.random.default_rng(seed)
    seeds = generator.multinomial(K, np.full(K, 1 / K), size=resamples) / K
    episodes, stretched = np.zeros((resamples, E)), np.zeros((K, E))
    for mine in _indices_of_strata(E, strata):
        n = len(mine)
        episodes[:, mine] = generator.multinomial(n, np.full(n, 1 / n), size=resamples)
        mean = values[:, mine].mean(axis=1, keepdims=True)
        stretched[:, mine] = mean + (values[:, mine] - mean) * math.sqrt(n / max(n - 1, 1))
    return ((seeds @ stretched) * episodes).sum(axis=1) / E


def _indices_of_strata(E: int, strata: Sequence[str] | None) -> list[np.ndarray]:
    """Return the episodes of each stratum; those that are alone share one, a single one that of the smallest other."""
    names = np.zeros(E, np.int64) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    found = [np.flatnonzero(names == name) for name in np.unique(names)]
    alone, others = [each for each in found if len(each) == 1], [each for each in found if len(each) > 1]
    if len(alone) == 1 and others:
        alone.append(others.pop(int(np.argmin([len(each) for each in others]))))
    return [*others, np.sort(np.concatenate(alone))] if alone else others


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


def row_mean(values: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None, *, share: bool) -> Estimate:
    """Estimate the mean of a row: over seeds and episodes, or over episodes alone where there is one seed.

    Args:
        values: scores of K training seeds on E episodes.
        strata: stratum of each episode.
        share: whether a score is a share, which cannot exceed 1; Wilson's interval is for shares of 0 and 1 alone.
    """
    ends = share and _ends(values)
    if len(values) == 1:
        return wilson_interval(int(values.sum()), values.size) if ends else bootstrap_interval(values[0])
    estimate, E = two_level_bootstrap(values, strata), values.shape[1]
    if ends and not _differ(estimate.low, estimate.high):
        # Resamples have no variance; the Wilson interval of one seed's episodes is honest.
        return wilson_interval(round(estimate.value * E), E)
    return estimate


def mean_of_some(
    values: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None, *, share: bool
) -> Estimate | None:
    """Estimate the mean over those episodes that count, each of which weighs equally, whatever its seed.

    The mean is a sum divided by a number that differs between resamples too, so its linear part is resampled. That is
    too little where few episodes count. For shares the wider one of it and Wilson's interval of all that count is
    taken.

    Args:
        values: scores of K training seeds on E episodes; NaN: the episode does not count.
        strata: stratum of each episode.
        share: whether each score is 0 or 1.

    Returns:
        The estimate; None: no episode counts.
    """
    counts = ~np.isnan(values)
    known = values[counts]
    if len(values) == 1 or not known.size:
        return mean_of_those(known.tolist(), share)
    apart = np.where(counts, values - known.mean(), 0.0) * values.size / known.size
    estimate = _between_quantiles(known.mean() + _resampled_means(apart, strata, RESAMPLES, 0), known)
    return wider(estimate, wilson_interval(int(known.sum()), known.size)) if share else estimate


def wider(one: Estimate, other: Estimate) -> Estimate:
    """Return an estimate with an interval that holds both its own and that of another one."""
    return replace(one, low=min(one.low, other.low), high=max(one.high, other.high))


def _ends(values: Float[np.ndarray, "..."]) -> bool:
    return bool(np.isin(values, (0, 1)).all())


def _differ(low: float, high: float) -> bool:
    """Return whether two numbers differ by more than rounding."""
    return abs(high - low) > ROUNDING * max(1.0, abs(low), abs(high))


def paired_difference(
    ours: Float[np.ndarray, "K E"],
    theirs: Float[np.ndarray, "K E"],
    strata: Sequence[str] | None = None,
    *,
    share: bool,
) -> Estimate:
    """Estimate the first row's mean minus the second's, paired by seed and episode.

    Where resamples of shares do not vary, the share of episodes that only the first solves, minus that of those that
    only the second solves, has Newcombe's interval, for the episodes of one seed.

    Args:
        ours: scores of the first row.
        theirs: scores of the second row.
        strata: stratum of each episode.
        share: whether a score is a share, which cannot exceed 1.
    """
    estimate, E = two_level_bootstrap(ours - theirs, strata), ours.shape[1]
    if share and _ends(ours) and _ends(theirs) and not _differ(estimate.low, estimate.high):
        only = [round(float((one > other).mean()) * E) for one, other in ((ours, theirs), (theirs, ours))]
        return difference(*(wilson_interval(number, E) for number in only))
    return estimate


def detectable_difference(
    ours: Float[np.ndarray, "K E"], theirs: Float[np.ndarray, "K E"], strata: Sequence[str] | None = None
) -> float | None:
    """Return the smallest true difference that such a comparison shows four times out of five.

    It shows if its 95 % interval leaves out zero. The standard error is that of the bootstrap, widened by
    sqrt(K / (K - 1)) because a bootstrap over K seeds is too narrow.

    Returns:
        The difference; None: it cannot be told, from one seed or from differences that are equal up to rounding.
    """
    K, differences = len(ours), ours - theirs
    error = float(_resampled_means(differences, strata, RESAMPLES, 0).std())
    if K < 2 or error <= ROUNDING * max(1.0, float(np.abs(differences).max())):
        return None
    normal = NormalDist()
    return (normal.inv_cdf(0.975) + normal.inv_cdf(POWER)) * error * math.sqrt(K / (K - 1))


@dataclass(frozen=True, kw_only=True)
class SeedDifference:
    """Difference of two rows in a number that each training seed has one of, such as a held-out loss."""

    estimate: Estimate
    """Mean difference over seeds, with Student's interval."""
    detectable: float | None
    """Smallest true difference that so many seeds show four times out of five; None: all seeds differ by the same, up
    to rounding."""
    seeds: int
    """Number of seeds."""


def mean_by_seed(values: Float[np.ndarray, "K E"]) -> Estimate:
    """Estimate a mean with Student's interval over training seeds, each of which weighs as much as it has episodes.

    Source: W. Cochran, "Sampling Techniques", 1977, chapter 6, on ratios.

    Args:
        values: scores of K training seeds on E episodes; NaN: the episode does not count.

    Raises:
        ValueError: if there are fewer than two seeds, which have no variance, or no episode counts.
    """
    K, counts = len(values), (~np.isnan(values)).sum(axis=1)
    if K < 2 or not counts.sum():
        raise ValueError(f"an interval over seeds needs two seeds and an episode, got {K} and {counts.sum()}")
    sums = np.nansum(values, axis=1)
    mean = float(sums.sum() / counts.sum())
    error = math.sqrt(K / (K - 1) * float(((sums - mean * counts) ** 2).sum())) / float(counts.sum())
    half = student_quantile(0.975, K - 1) * error
    return Estimate(value=mean, low=mean - half, high=mean + half)


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
    equal = not _differ(float(differences.min()), float(differences.max()))
    return SeedDifference(
        estimate=Estimate(value=mean, low=mean - half, high=mean + half),
        detectable=None if equal else half + student_quantile(POWER, K - 1) * error,
        seeds=K,
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
