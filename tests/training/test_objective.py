from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from astra.training.objective import Cost, MetricMeans, Objective
from astra.training.validation import validate


def cost(loss: float, count: int) -> Cost:
    return Cost(loss=torch.tensor(loss), metrics={"loss": torch.tensor(loss)}, count=torch.tensor(count))


def test_means_are_weighted_by_valid_entries() -> None:
    means = MetricMeans()
    means.add(cost(1.0, 30))
    means.add(cost(5.0, 10))
    assert means.pop() == {"loss": pytest.approx(2.0)}


def test_means_start_again_after_they_were_taken() -> None:
    means = MetricMeans()
    means.add(cost(1.0, 30))
    means.pop()
    means.add(cost(7.0, 2))
    assert means.pop() == {"loss": pytest.approx(7.0)}


def test_the_objective_is_behavior_cloning_with_the_metrics_of_the_policy(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics()).eval()
    batch = linear.windows().batch(np.arange(6))
    losses, found = policy.loss(batch), Objective(policy)(batch)
    assert found.loss == losses.behavior_cloning
    assert found.loss.requires_grad
    assert not found.metrics["loss"].requires_grad
    assert found.metrics["double"] == pytest.approx(2 * losses.behavior_cloning.item())


@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_validation_is_the_mean_over_valid_entries_for_every_batch_size(linear: ModuleType, batch_size: int) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics()).eval()
    windows = linear.windows()
    whole = policy.loss(windows.batch(np.arange(len(windows)))).behavior_cloning.item()
    found = validate(Accelerator(cpu=True), policy, windows, num_windows=10**6, batch_size=batch_size)
    assert found["loss"] == pytest.approx(whole, rel=1e-5)


def test_validation_uses_evenly_spaced_windows(linear: ModuleType) -> None:
    policy = linear.LinearConfig().build(linear.SPEC, linear.statistics()).eval()
    windows = linear.windows()
    expected = policy.loss(windows.batch(np.array([0, 10, 19]))).behavior_cloning.item()
    found = validate(Accelerator(cpu=True), policy, windows, num_windows=3, batch_size=2)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_metric_that_some_batches_lack_is_the_mean_of_those_that_have_it() -> None:
    means, with_more = MetricMeans(), cost(1.0, 10)
    means.add(replace(with_more, metrics={**with_more.metrics, "more": torch.tensor(4.0)}))
    means.add(cost(5.0, 30))
    assert means.pop() == {"loss": pytest.approx(4.0), "more": pytest.approx(4.0)}
