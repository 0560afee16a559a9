"""Whole runs on ordinary recordings: short episodes, outliers, texts of every kind."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from astra.experiments.experiment import Experiment


def record(
    folder: Path, lengths: tuple[int, ...], texts: tuple[str, ...] = ("go",), spike: float | None = None
) -> Path:
    """Write episodes of random states and actions."""
    from astra.datasets import DatasetWriter, Episode

    random = np.random.default_rng(0)
    with DatasetWriter(folder, fps=10.0) as writer:
        for index, length in enumerate(lengths):
            columns = {
                "observation.state": random.normal(size=(length, 3)).astype(np.float32),
                "action": random.uniform(-1, 1, (length, 2)).astype(np.float32),
            }
            writer.add(Episode(instruction=texts[index % len(texts)], columns=columns, fps=10.0))
    return folder


def experiment(dataset: Path, **policy: Any) -> "Experiment":
    from astra.experiments.experiment import Experiment
    from astra.policies.astra import AstraConfig
    from astra.training.config import TrainingConfig

    training = TrainingConfig(
        updates=4, batch_size=8, timesteps=1, log_every=1, validation_every=4, checkpoint_every=4, validation_windows=8
    )
    config = AstraConfig(layers=1, width=16, heads=2, **policy)
    return Experiment(dataset=dataset, policy=config, training=training, validation=0.2)


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["train/loss"] for line in lines if "train/loss" in line]


@pytest.mark.parametrize("chunk_sample", [None, 2])
def test_chunks_longer_than_every_episode_train_on_the_actions_that_exist(
    tmp_path: Path, chunk_sample: int | None
) -> None:
    from astra.experiments.experiment import run_training

    data = record(tmp_path / "data", (5, 4, 5, 3))
    run_training(experiment(data, chunk_size=8, chunk_sample=chunk_sample), tmp_path / "run")
    found = losses(tmp_path / "run")
    assert len(found) == 4
    assert min(found) > 1  # of 100 bins: no update learned from nothing
    assert "skipped_updates" not in (tmp_path / "run/metrics.jsonl").read_text()


@pytest.mark.parametrize("reference_state", [None, "observation.state"])
def test_an_outlier_is_told_before_training(tmp_path: Path, reference_state: str | None) -> None:
    from astra.datasets import DatasetWriter, Episode
    from astra.experiments.experiment import run_training

    random = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "data", fps=10.0) as writer:
        for index in range(3):
            columns = {
                name: random.uniform(-1, 1, (300, 2)).astype(np.float32) for name in ("observation.state", "action")
            }
            columns["action"][17, 0] = 1e4 if index == 1 else 0
            writer.add(Episode(instruction="go", columns=columns, fps=10.0))
    chosen = experiment(tmp_path / "data", reference_state=reference_state)
    with pytest.warns(
        UserWarning, match=r"'action_0' has outliers.* \d+\.\d% of all values lie in the two outermost bins"
    ):
        run_training(chosen, tmp_path / "run")


TEXTS = (
    *(
        "pick the {red} block",
        "pick the {{red}} block",
        "{}",
        "}{",
        "{red",
        "a {red} {red} {blue}",
        "{0} %s %(red)s 100 %",
    ),
    *(
        "[bold]pick[/bold] the [red]block[/]",
        "[PAD] [UNK]",
        "<script>alert(1)</script> &amp;",
        r"$\frac{a}{b}$ \n \u0041",
    ),
    *(
        "first line\nsecond line\r\n\tthird",
        "pousse le bloc carre\u0301",
        "pousse le bloc carr\u00e9",
        "把红色方块放进盒子",
    ),
    *(
        "ادفع الكتلة الحمراء",
        "push 🙂 the 👩\u200d🔬 block",
        "\u202eright to left\u202c",
        "'quotes' \"and\" `ticks`",
        "a" * 300,
    ),
)
"""Texts that a user may have typed, none of which asks for a picture."""


def test_texts_of_every_kind_are_stored_trained_on_and_told(tmp_path: Path) -> None:
    import torch

    from astra.cli.main import main
    from astra.datasets import LeRobotDataset
    from astra.experiments.experiment import run_training
    from astra.policies.astra import Astra
    from astra.policies.checkpoint import load_policy
    from astra.trajectory import Observation

    data = record(tmp_path / "data", (3,) * len(TEXTS), TEXTS)
    assert LeRobotDataset.open(data).instructions == TEXTS
    assert main(["inspect", "dataset", str(data)]) == 0
    policy = load_policy(run_training(experiment(data), tmp_path / "run"))
    assert policy.spec.instructions == tuple(sorted(TEXTS))
    B = len(TEXTS)
    seen = Observation(states={"observation.state": torch.ones(B, 3)}, images={}, previous_action=torch.zeros(B, 2))
    assert isinstance(policy, Astra)
    outputs = policy.predict(policy.start(TEXTS, seeds=[0] * B), seen)
    assert outputs.isfinite().all()
    same = TEXTS.index("pousse le bloc carr\u00e9")
    assert torch.allclose(outputs[same - 1], outputs[same], atol=1e-5)  # two encodings of one accent
    assert not torch.allclose(outputs[0], outputs[TEXTS.index("{red")])  # the words inside braces are read


@pytest.mark.parametrize("texts", [("",), (" ", "")])
def test_demonstrations_without_an_instruction_are_stored_and_trained_on(
    tmp_path: Path, texts: tuple[str, ...]
) -> None:
    import torch

    from astra.experiments.experiment import run_training
    from astra.policies.checkpoint import load_policy
    from astra.trajectory import Observation

    policy = load_policy(run_training(experiment(record(tmp_path / "data", (5, 4, 6), texts)), tmp_path / "run"))
    seen = Observation(states={"observation.state": torch.zeros(1, 3)}, images={}, previous_action=torch.zeros(1, 2))
    assert policy.act(policy.start([""], seeds=[0]), seen)[0].isfinite().all()
