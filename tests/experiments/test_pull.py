"""The gradients of cloning and of the contrast beside it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def trained(folder: Path, **training: Any) -> Path:
    """A run of two updates on six episodes of two instructions."""
    from astra.datasets import DatasetWriter, Episode
    from astra.experiments.experiment import Experiment, run_training
    from astra.policies.astra import AstraConfig
    from astra.training.train import TrainingConfig

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


def test_pulls_are_those_of_both_losses(tmp_path: Path) -> None:
    from astra.contrastive_dynamics.objective import ContrastiveConfig
    from astra.datasets import LeRobotDataset
    from astra.experiments.pull import batches_of, open_run, pulls

    run = open_run(trained(tmp_path, contrastive=ContrastiveConfig(weight=0.5, cdl_fraction=1.0)))
    assert (run.update, run.training.batch_size) == (2, 5)
    batches = list(batches_of(run, LeRobotDataset.open(tmp_path / "data"), range(5), 3))
    assert [len(batch.valid) for batch in batches] == [5, 5, 5]
    parts, metrics = pulls(run, batches)
    found = {part.part: part for part in parts}
    everything = found["all"]
    assert everything.cloning > 0 < everything.contrast
    assert everything.share == pytest.approx(
        everything.contrast**2 / (everything.contrast**2 + everything.cloning**2), rel=0.2
    )
    assert -1 <= everything.cosine <= 1
    assert found["head"].contrast == found["head"].share == found["head"].cosine == 0, "the contrast chooses no action"
    assert {"contrastive_loss", "retrieval_accuracy"} < metrics.keys()

    run.contrastive.config = replace(run.contrastive.config, weight=1.0)
    twice = {part.part: part for part in pulls(run, batches)[0]}["all"]
    assert twice.contrast == pytest.approx(2 * everything.contrast, rel=1e-4)
    assert twice.cloning == pytest.approx(everything.cloning, rel=1e-4)
    assert twice.cosine == pytest.approx(everything.cosine, abs=1e-4)


def test_the_command_tells_them_and_what_it_cannot_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.commands.inspect import run
    from astra.contrastive_dynamics.objective import ContrastiveConfig

    with_contrast = trained(tmp_path / "contrast", contrastive=ContrastiveConfig())
    capsys.readouterr()
    run(["contrast", str(with_contrast), "--batches", "2"])
    told = capsys.readouterr().out
    assert "Update 2, 2 batches of 5" in told
    assert "alpha = 0.1" in told
    with pytest.raises(ValueError, match="at least 1"):
        run(["contrast", str(with_contrast), "--batches", "0"])
    (with_contrast / "config.json").rename(tmp_path / "config.json")
    with pytest.raises(FileNotFoundError, match="a policy without its run"):
        run(["contrast", str(with_contrast)])
    with pytest.raises(ValueError, match="did not learn by contrast"):
        run(["contrast", str(trained(tmp_path / "cloning"))])
