"""Results that do not beat their controls are marked."""

import pytest

from astra.evaluation.held_out_info import LAST_ACTION, MEAN_ACTION, POLICY
from astra.evaluation.success import Estimate, Summary, wilson_interval
from astra.evaluation.verdict import difference, unbeaten, unbeaten_baselines, unbeaten_controls


def summary(successes: int, reward: float) -> Summary:
    score = Estimate(value=reward, low=reward - 0.05, high=reward + 0.05)
    return Summary(episodes=40, success=wilson_interval(successes, 40), scores={"reward": score}, mean_timesteps=9.0)


def info(episodes: int, last: float, mean: float) -> dict[str, object]:
    all_errors = {name: {"value": 0.1, "low": 0.1, "high": 0.1} for name in (POLICY, LAST_ACTION, MEAN_ACTION)}
    highs = {LAST_ACTION: last, MEAN_ACTION: mean}
    differences = {name: {"value": high - 0.01, "low": high - 0.02, "high": high} for name, high in highs.items()}
    return {"episodes": episodes, "all": all_errors, "differences": differences}


def test_the_difference_of_two_rates_is_that_of_the_literature() -> None:
    """Newcombe's example: 56 of 70 against 48 of 80 differ by 0.2, from 0.0524 to 0.3339."""
    found = difference(wilson_interval(56, 70), wilson_interval(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-4)


def test_a_control_is_beaten_by_success_or_by_the_first_score() -> None:
    policy = summary(4, 0.5)
    assert unbeaten_controls({"policy": policy, "no-op": summary(3, 0.2), "expert": summary(40, 1.0)}) == []
    assert unbeaten_controls({"policy": summary(30, 0.5), "no-op": summary(3, 0.5)}) == []
    (sentence,) = unbeaten_controls({"policy": policy, "no-op": summary(3, 0.2), "swapped": summary(4, 0.52)})
    assert sentence.startswith("The policy is not better than swapped: success rate 0.10 [")
    assert "mean of maximal reward 0.50 [0.45, 0.55] against 0.52 [0.47, 0.57]" in sentence
    assert unbeaten_controls({"no-op": summary(3, 0.2)}) == []


def test_a_baseline_is_beaten_if_the_difference_lies_below_zero() -> None:
    assert unbeaten_baselines(info(5, -0.01, -0.02)) == []
    (sentence,) = unbeaten_baselines(info(5, 0.005, -0.02))
    assert "no better than “repeat the last action”: error 10.00 % of the range against 10.00 %" in sentence
    assert len(unbeaten_baselines(info(5, 0.0, 0.3))) == 2
    (sentence,) = unbeaten_baselines(info(1, -0.01, -0.02))
    assert "one held-out episode only" in sentence


def test_held_out_episodes_count_only_without_rollouts() -> None:
    held_out = info(5, 0.005, 0.3)
    assert len(unbeaten({}, held_out)) == 2
    assert unbeaten({"policy": summary(30, 0.9), "no-op": summary(1, 0.1)}, held_out) == []
    assert unbeaten({}, None) == []
