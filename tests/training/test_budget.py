import math

import pytest

from astra.training.budget import WARM_UP, Budget


def test_a_budget_of_updates_ends_with_them() -> None:
    budget = Budget(updates=4)
    shares = []
    while not budget.finished:
        shares.append(budget.share(within_update=0.5))
        budget.spend(1e9)
    assert shares == [0.125, 0.375, 0.625, 0.875]


def test_the_larger_of_both_fractions_counts() -> None:
    budget = Budget(updates=10, max_minutes=1.0)
    budget.spend(3.0)
    assert budget.share() == pytest.approx(0.1)
    budget.spend(27.0)
    assert budget.share() == pytest.approx(0.5)
    budget.spend(31.0)
    assert budget.finished
    assert budget.share() == 1.0


def test_the_time_left_is_that_of_the_usual_updates_not_of_the_slow_first_ones() -> None:
    budget = Budget(updates=100, update=50, seconds=1e6)  # resumed on a machine of another speed
    for _ in range(WARM_UP):
        assert math.isinf(budget.seconds_left)
        budget.spend(60.0)
    budget.spend(2.0)
    assert budget.seconds_left == pytest.approx(2.0 * (50 - WARM_UP - 1))


def test_the_time_left_is_never_more_than_the_minutes_that_are_left() -> None:
    budget = Budget(updates=10**6, max_minutes=1.0)
    for _ in range(WARM_UP + 1):
        budget.spend(5.0)
    assert budget.seconds_left == pytest.approx(60.0 - 5.0 * (WARM_UP + 1))


def test_tasks_are_due_at_their_interval_and_at_the_end() -> None:
    budget = Budget(updates=5)
    due = []
    while not budget.finished:
        budget.spend(0.0)
        due.append((budget.is_due(2), budget.is_due(None)))
    assert due == [(False, False), (True, False), (False, False), (True, False), (True, False)]
