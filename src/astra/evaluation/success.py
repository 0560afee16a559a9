"""Success rates and mean scores with intervals: Wilson's for rates, the bootstrap for means."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.evaluation.episode import EpisodeResult

CONFIDENCE = 0.95
"""Default probability with which an interval holds the true value."""
RESAMPLES_AT_ONCE = 100
"""Resamples of a bootstrap that are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimated value with its confidence interval."""

    value: float
    """Estimated value."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    confidence: float = CONFIDENCE
    """Probability with which the interval holds the true value."""

    def __str__(self) -> str:
        """Write the value and its interval with two decimals."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Results of an agent over a set of episodes."""

    episodes: int
    """Number of episodes."""
    success: Estimate
    """Share of episodes that succeeded, 0 to 1."""
    scores: Mapping[str, Estimate]
    """Mean over episodes of each score's maximum, of the scores that all of them have."""
    mean_timesteps: float
    """Mean length of an episode in timesteps."""
    missed: int = 0
    """Number of episodes in which an action missed and the episode went on."""
    recovery: Estimate | None = None
    """Share of those that succeeded all the same; None: none missed."""
    attempts: Estimate | None = None
    """Mean number of attempts per episode; None: they are not counted."""
    between_attempts: Estimate | None = None
    """Mean number of timesteps from one attempt to the next, over episodes with several; None: there are none."""


def wilson_interval(successes: int, episodes: int, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a success rate from independent episodes.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.

    Raises:
        ValueError: if there are no episodes, or more successes than episodes.
    """
    if not 0 <= successes <= episodes or episodes == 0:
        raise ValueError(f"a rate needs at least one episode and no more successes, got {successes} of {episodes}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / episodes
    scale = 1 + z**2 / episodes
    center = (rate + z**2 / (2 * episodes)) / scale
    half = z / scale * (rate * (1 - rate) / episodes + z**2 / (4 * episodes**2)) ** 0.5
    # At rates of 0 and 1 an end of the interval is the rate itself, up to rounding.
    low, high = max(0.0, min(center - half, rate)), min(1.0, max(center + half, rate))
    return Estimate(value=rate, low=low, high=high, confidence=confidence)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Return the difference of two independent estimates with its interval.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 1998, method 10, which needs only the two intervals.
    """
    value = one.value - other.value
    below = ((one.value - one.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
    above = ((one.high - one.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
    return Estimate(value=value, low=value - below, high=value + above, confidence=one.confidence)


def bootstrap_interval(
    values: Sequence[float] | Float[np.ndarray, " E"],
    confidence: float = CONFIDENCE,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Estimate a mean by the percentile bootstrap over episodes.

    Raises:
        ValueError: if there are no values.
    """
    sample = np.asarray(values, np.float64)
    if sample.size == 0:
        raise ValueError("a mean needs at least one value, got none")
    generator = np.random.default_rng(seed)
    batches = [min(RESAMPLES_AT_ONCE, resamples - done) for done in range(0, resamples, RESAMPLES_AT_ONCE)]
    drawn = (generator.integers(sample.size, size=(batch, sample.size)) for batch in batches)
    means = np.concatenate([sample[indices].mean(axis=1) for indices in drawn])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(value=float(sample.mean()), low=float(low), high=float(high), confidence=confidence)


def mean_interval(values: Sequence[float]) -> Estimate:
    """Estimate a mean over episodes: by Wilson's interval if all values are 0 or 1, else by the bootstrap.

    Raises:
        ValueError: if there are no values.
    """
    if values and all(value in (0, 1) for value in values):
        return wilson_interval(int(sum(values)), len(values))
    return bootstrap_interval(values)


def summarize(results: Sequence[EpisodeResult]) -> Summary:
    """Summarize the episodes of one agent.

    Raises:
        ValueError: if there are no results.
    """
    if not results:
        raise ValueError("a summary needs at least one episode, got none")
    scores = {name: [result.scores[name] for result in results] for name in shared_scores(results)}
    return Summary(
        episodes=len(results),
        success=wilson_interval(sum(result.success for result in results), len(results)),
        scores={name: mean_interval(values) for name, values in scores.items()},
        mean_timesteps=float(np.mean([result.timesteps for result in results])),
        **attempts_and_misses(results),
    )


def shared_scores(results: Sequence[EpisodeResult]) -> list[str]:
    """Return the names of the scores that all episodes have; those of another task may have others."""
    return [name for name in results[0].scores if all(name in result.scores for result in results)]


def mean_of_those(values: Sequence[float], share: bool) -> Estimate | None:
    """Estimate a mean over independent episodes: by Wilson's interval for shares, else by the bootstrap.

    Args:
        values: one number per episode; NaN: the episode does not count.
        share: whether each number is 0 or 1.

    Returns:
        The estimate; None: no episode counts.
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    return wilson_interval(int(sum(known)), len(known)) if share else bootstrap_interval(known)


def attempts_and_misses(
    results: Sequence[EpisodeResult], mean: Callable[[Sequence[float], bool], Estimate | None] = mean_of_those
) -> dict[str, Any]:
    """Return the fields `missed`, `recovery`, `attempts` and `between_attempts` of a summary.

    Args:
        results: The episodes.
        mean: Estimates a mean as `mean_of_those` does.
    """
    begun = [result.attempts for result in results]
    return {
        "missed": sum(bool(result.missed) for result in results),
        "recovery": mean([float(result.success) if result.missed else math.nan for result in results], True),
        "attempts": mean([math.nan if each is None else float(len(each)) for each in begun], False),
        "between_attempts": mean([mean_gap(each or ()) for each in begun], False),
    }


def mean_gap(attempts: Sequence[int]) -> float:
    """Return the mean number of timesteps from one attempt of an episode to the next; NaN if it has fewer than two.

    Args:
        attempts: Timesteps at which attempts began.
    """
    return (attempts[-1] - attempts[0]) / (len(attempts) - 1) if len(attempts) > 1 else math.nan
