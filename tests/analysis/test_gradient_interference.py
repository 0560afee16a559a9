"""Gradients of behavior cloning and of the contrastive loss."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


def trained(folder: Path, **training: Any) -> Path:
    """Train a run for two updates on six episodes of two instructions."""
    from astra.datasets import DatasetWriter, Episode
    from astra.experiments.experiment import Experiment
    from astra.experiments.run_training import run_training
    from astra.policies.astra import AstraConfig
    from astra.training.config import TrainingConfig

    chance = np.random.default_rng(0)
    with DatasetWriter(folder / "data", fps=5.0) as writer:
        for number in range(6):
            states = chance.uniform(-1, 1, (3, 2)).astype(np.float32)
            columns = {"observation.state": states, "action": states[:, ::-1].copy()}
            writer.add(Episode(instruction=("left", "right")[number % 2], columns=columns, fps=5.0))
    experiment = Experiment(
        dataset=folder / "data",
        validation=0.2,
        policy=AstraConfig(layers=1, heads=1, width=8, dropout=0.0),
        training=TrainingConfig(updates=2, batch_size=5, timesteps=2, precision="float32", **training),
    )
    run_training(experiment, folder / "run")
    return folder / "run"


def test_gradients_are_those_of_both_losses(tmp_path: Path) -> None:
    from astra.analysis.gradient_interference import draw_batches, gradient_interference, load_contrastive_run
    from astra.contrastive_dynamics.objective import ContrastiveConfig
    from astra.datasets import LeRobotDataset

    run = load_contrastive_run(trained(tmp_path, contrastive=ContrastiveConfig(weight=0.5, cdl_fraction=1.0)))
    assert (run.update, run.training.batch_size) == (2, 5)
    batches = list(draw_batches(run, LeRobotDataset.open(tmp_path / "data"), range(5), 9))
    assert [len(batch.valid) for batch in batches] == 9 * [5]
    parts, metrics = gradient_interference(run, batches)
    found = {part.part: part for part in parts}
    everything = found["all"]
    for which in ("behavior_cloning", "contrastive"):
        assert getattr(everything, which).batch ** 2 == pytest.approx(
            sum(getattr(part, which).batch ** 2 for part in parts[:-1])
        )
    assert everything.contrastive_share == pytest.approx(
        everything.contrastive.batch**2 / (everything.contrastive.batch**2 + everything.behavior_cloning.batch**2)
    )
    assert everything.behavior_cloning.mean is not None
    assert everything.behavior_cloning.mean <= everything.behavior_cloning.batch
    assert found["head"].contrastive.batch == found["head"].contrastive_share == 0, "the contrast chooses no action"
    assert found["head"].contrastive.mean is found["head"].cosine is None
    assert {"contrastive_loss", "retrieval_accuracy"} < metrics.keys()

    assert run.alpha == 0.5
    run = replace(run, alpha=1.0)
    twice = {part.part: part for part in gradient_interference(run, batches)[0]}["all"]
    assert twice.contrastive.batch == pytest.approx(2 * everything.contrastive.batch, rel=1e-4)
    assert twice.behavior_cloning == everything.behavior_cloning
    with pytest.raises(ValueError, match="got 2 batches, expected at least 8"):
        gradient_interference(run, batches[:2])


@pytest.mark.parametrize(("noise", "resolved"), [(3.0, True), (300.0, False)])
def test_the_drift_and_its_direction_are_reported_from_noise_or_not_at_all(noise: float, resolved: bool) -> None:
    """A plain mean over batches would give a cosine near 0 here, because the noise in it is orthogonal."""
    from astra.analysis.gradient_interference import GROUPS, _interference

    chance, count, W = torch.Generator().manual_seed(0), 64, 2000
    drift = torch.randn(W, generator=chance).double() / W**0.5
    both = torch.stack([drift, -2 * drift])
    batches = both + noise / W**0.5 * torch.randn(count, 2, W, generator=chance).double()
    sums = batches.unflatten(0, (GROUPS, -1)).sum(1).flatten(0, 1)
    products = (sums @ sums.T).view(GROUPS, 2, GROUPS, 2)
    sizes = torch.full((GROUPS,), count / GROUPS).double()
    result = _interference("all", batches.square().sum(-1).mean(0), products, sizes)
    assert result.behavior_cloning.batch == pytest.approx((1 + noise**2) ** 0.5, rel=0.05)
    if not resolved:
        assert result.behavior_cloning.mean is result.contrastive.mean is result.cosine is None
        return
    assert result.behavior_cloning.mean == pytest.approx(1, abs=0.15)
    assert result.contrastive.mean == pytest.approx(2, abs=0.15)
    assert result.cosine is not None
    assert result.cosine_error is not None
    assert abs(result.cosine + 1) < 3 * result.cosine_error < 0.6
    means = batches.mean(0)
    assert torch.nn.functional.cosine_similarity(*means, dim=0) > -0.95


def test_the_command_tells_them_and_what_it_cannot_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.inspect import run
    from astra.contrastive_dynamics.objective import ContrastiveConfig

    with_contrast = trained(tmp_path / "contrast", contrastive=ContrastiveConfig())
    capsys.readouterr()
    run(["gradient-interference", str(with_contrast), "--batches", "8"])
    told = capsys.readouterr().out
    assert "Update 2, 8 batches of 5" in told
    assert "alpha = 0.1" in told
    with pytest.raises(ValueError, match="at least 8"):
        run(["gradient-interference", str(with_contrast), "--batches", "2"])
    (with_contrast / "config.json").rename(tmp_path / "config.json")
    with pytest.raises(FileNotFoundError, match="a policy without its run"):
        run(["gradient-interference", str(with_contrast)])
    with pytest.raises(ValueError, match="trained without a contrastive loss"):
        run(["gradient-interference", str(trained(tmp_path / "cloning"))])
