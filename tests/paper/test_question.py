"""A table says yes or no only where its seeds and episodes could have told."""

from typing import Any

import pytest

from astra.evaluation.success import Estimate
from astra.paper.question import Question


def answer(value: float, half: float, *, seeds: int = 3, **bounds: Any) -> str:
    found = Estimate(value=value, low=value - half, high=value + half, confidence=0.95)
    question = Question(text="Does it pay?", row="ours", column="loss", **bounds)
    return question.answer(found, seeds)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_effect_needs_its_size_and_an_interval_without_zero(sign: int) -> None:
    bounds: dict[str, Any] = {"at_least": 0.02} if sign > 0 else {"at_most": -0.02}
    assert answer(sign * 0.03, 0.01, **bounds) == "yes"
    assert answer(sign * 0.03, 0.04, **bounds) == "not decided: the interval holds 0"
    assert answer(sign * 0.005, 0.01, **bounds) == "no"
    assert answer(sign * -0.03, 0.01, **bounds) == "no"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_no_needs_an_interval_that_leaves_out_the_bound(sign: int) -> None:
    bounds: dict[str, Any] = {"at_least": 0.02} if sign > 0 else {"at_most": -0.02}
    assert answer(sign * 0.01, 0.04, **bounds).startswith("not decided: an effect of this size")
    assert answer(sign * 0.01, 0.015, **bounds).startswith("not decided: an effect of this size")
    assert answer(sign * 0.018, 0.004, **bounds) == "not decided: there is an effect, which may be smaller"
    assert answer(sign * 0.01, 0.009, **bounds) == "no"


def test_rows_that_are_equal_in_all_episodes_tell_nothing() -> None:
    question = Question(text="Does it pay?", row="ours", column="success", at_least=3.0)
    found = Estimate(value=0, low=-1, high=1)
    assert question.answer(found, 3, equal=True) == "not decided: both rows are equal in all episodes"
    assert question.answer(found, 3) == "no"


def test_one_seed_decides_nothing_unless_it_was_said_before() -> None:
    assert answer(40, 5, seeds=1, at_least=15) == "not decided: one seed"
    told = {value: answer(value, 5, seeds=1, at_least=15, after_one=(0, 30)) for value in (-1, 0, 20, 30, 40)}
    assert told == {-1: "no", 0: "no", 20: "not decided: one seed", 30: "yes", 40: "yes"}
    assert answer(20, 5, seeds=3, at_least=15, after_one=(0, 30)) == "yes"


def test_a_tolerance_and_a_rows_own_number_are_decided_by_the_number() -> None:
    assert answer(0.01, 0.005, at_most=0.03) == "yes"
    assert answer(0.01, 0.05, at_most=0.03) == "yes, but the interval holds the bound"
    assert answer(0.05, 0.005, at_most=0.03) == "no"
    assert answer(40, 5, seeds=1, at_least=30, difference=False) == "yes"
    assert answer(29, 5, seeds=1, at_least=30, difference=False) == "no, but the interval holds the bound"


@pytest.mark.parametrize(
    "bounds", [{}, {"at_least": 1.0, "at_most": 2.0}, {"at_least": 15.0, "after_one": (20.0, 30.0)}]
)
def test_bounds_that_cannot_decide_are_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Does it pay"):
        Question(text="Does it pay?", row="ours", column="loss", **bounds)
