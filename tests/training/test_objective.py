import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from astra.augmentation.pictures import AugmentationConfig
from astra.training.objective import Cost, MetricMeans, Objective
from astra.training.train import train
from astra.training.validation import validate
from astra.trajectory import Trajectory


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


def run(linear: ModuleType, folder: Path, **changes: Any) -> dict[str, list[float]]:
    """Train without dropout; return the losses of training and of validation."""
    data = linear.windows(), linear.windows(seed=1)
    config = linear.LinearConfig(dropout=0.0)
    train(config, linear.training(**changes), *data, folder, statistics=linear.statistics())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        name: [line[f"{name}/loss"] for line in lines if f"{name}/loss" in line] for name in ("train", "validation")
    }


def test_state_noise_reaches_the_training_and_not_the_validation(linear: ModuleType, tmp_path: Path) -> None:
    still, noisy = (run(linear, tmp_path / str(noise), state_noise=noise, learning_rate=1e-12) for noise in (0.0, 0.5))
    assert still["train"] != noisy["train"]
    assert len(still["validation"]) == 2
    assert still["validation"] == pytest.approx(noisy["validation"])


def test_objects_are_shuffled_and_pictures_augmented_where_the_settings_say(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"shuffle": 0, "augment": 0}

    def counted(name: str) -> Callable[..., Trajectory]:
        def change(trajectory: Trajectory, *_: object, **__: object) -> Trajectory:
            calls[name] += 1
            return trajectory

        return change

    monkeypatch.setattr("astra.training.train.shuffle_objects", counted("shuffle"))
    monkeypatch.setattr("astra.training.objective.augment", counted("augment"))
    run(linear, tmp_path / "plain")
    assert calls == {"shuffle": 0, "augment": 0}
    run(linear, tmp_path / "both", shuffle_objects=True, augmentation=AugmentationConfig())
    assert calls == {"shuffle": 4, "augment": 4}
