import numpy as np
import pytest

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.success import Estimate, bootstrap_interval, mean_interval, summarize, wilson_interval


def result(success: bool, score: float, timesteps: int = 10) -> EpisodeResult:
    return EpisodeResult(
        seed=0,
        task="reach",
        instruction="right",
        environment_instruction="right",
        success=success,
        timesteps=timesteps,
        scores={"near": score},
        max_reward=score,
        sum_reward=score,
        actions=np.zeros((timesteps, 1)),
        fps=10.0,
    )


# R: prop.test(k, n, correct = FALSE)$conf.int, and Newcombe (1998), table I: 81/263, 15/148, 0/20, 1/29.
@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilson_intervals_are_the_published_ones(successes: int, episodes: int, low: float, high: float) -> None:
    estimate = wilson_interval(successes, episodes)
    assert estimate.value == successes / episodes
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_with_less_confidence_is_narrower() -> None:
    assert wilson_interval(3, 10, 0.8).low > wilson_interval(3, 10, 0.95).low


@pytest.mark.parametrize(("successes", "episodes"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_rate(successes: int, episodes: int) -> None:
    with pytest.raises(ValueError, match="at least one episode"):
        wilson_interval(successes, episodes)


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    values = np.random.default_rng(1).random(30)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    intervals = [bootstrap_interval(generator.random(50), resamples=500, seed=n) for n in range(300)]
    assert 0.90 <= np.mean([estimate.low <= 0.5 <= estimate.high for estimate in intervals]) <= 0.98


def test_bootstrap_of_equal_values_is_a_point_and_of_none_an_error() -> None:
    assert bootstrap_interval([0.5, 0.5]) == Estimate(value=0.5, low=0.5, high=0.5)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval([])


def test_a_score_of_zeros_and_ones_has_the_interval_of_a_share() -> None:
    assert mean_interval([1.0] * 50) == wilson_interval(50, 50)
    assert mean_interval([0.0, 1.0, 1.0]) == wilson_interval(2, 3)
    assert mean_interval([0.0, 0.5, 1.0]) == bootstrap_interval([0.0, 0.5, 1.0])


def test_summary_takes_rate_and_means_over_episodes() -> None:
    summary = summarize([result(True, 0.9, 10), result(False, 0.1, 30)])
    assert summary.episodes == 2
    assert summary.success.value == 0.5
    assert summary.scores["near"].value == pytest.approx(0.5)
    assert summary.scores["near"].low == pytest.approx(0.1)
    assert summary.mean_timesteps == 20
    with pytest.raises(ValueError, match="at least one episode"):
        summarize([])
