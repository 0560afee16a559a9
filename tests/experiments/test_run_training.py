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
            columns["observation.state"][0, 0] += spike or 0.0
            writer.add(Episode(instruction=texts[index % len(texts)], columns=columns, fps=10.0))
    return folder


def experiment(dataset: Path, **policy: Any) -> "Experiment":
    from astra.experiments.experiment import Experiment
    from astra.policies.astra import AstraConfig
    from astra.training.config import TrainingConfig

    training = TrainingConfig(
        updates=4, batch_size=8, timesteps=1, log_every=1, validation_every=4, checkpoint_every=4, validation_windows=8
    )
    config = AstraConfig(**{"layers": 1, "width": 16, "heads": 2, **policy})
    return Experiment(dataset=dataset, policy=config, training=training, validation=0.2)


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["train/loss"] for line in lines if "train/loss" in line]


@pytest.mark.parametrize("chunk_sample", [None, 2])
def test_chunks_longer_than_every_episode_train_on_the_actions_that_exist(
    tmp_path: Path, chunk_sample: int | None
) -> None:
    from astra.experiments.run_training import run_training

    data = record(tmp_path / "data", (5, 4, 5, 3))
    run_training(experiment(data, chunk_size=8, chunk_sample=chunk_sample), tmp_path / "run")
    found = losses(tmp_path / "run")
    assert len(found) == 4
    assert min(found) > 1  # of 100 bins: no update learned from nothing
    assert "skipped_updates" not in (tmp_path / "run/metrics.jsonl").read_text()


@pytest.mark.parametrize("reference_state", [None, "observation.state"])
def test_an_outlier_is_told_before_training(tmp_path: Path, reference_state: str | None) -> None:
    from astra.datasets import DatasetWriter, Episode
    from astra.experiments.run_training import run_training

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
    from astra.experiments.run_training import run_training
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

    from astra.experiments.run_training import run_training
    from astra.policies.checkpoint import load_policy
    from astra.trajectory import Observation

    policy = load_policy(run_training(experiment(record(tmp_path / "data", (5, 4, 6), texts)), tmp_path / "run"))
    seen = Observation(states={"observation.state": torch.zeros(1, 3)}, images={}, previous_action=torch.zeros(1, 2))
    assert policy.act(policy.start([""], seeds=[0]), seen)[0].isfinite().all()


def test_one_rare_instruction_that_is_too_long_is_refused_before_the_first_update(tmp_path: Path) -> None:
    from astra.experiments.run_training import run_training

    data = record(tmp_path / "data", (5,) * 6, ("go",) * 5 + (" ".join(["very"] * 40) + " far",))
    with pytest.raises(ValueError, match=r"very very .* has 41 tokens.* --policy.language.max-tokens 41"):
        run_training(experiment(data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_wide_and_a_high_camera_keep_their_frames_and_are_trained_on(tmp_path: Path) -> None:
    from dataclasses import replace

    from astra.datasets import DatasetWriter, Episode, LeRobotDataset
    from astra.experiments.run_training import run_training

    random, recorded = np.random.default_rng(0), {}
    with DatasetWriter(tmp_path / "data", fps=10.0) as writer:
        for index in range(3):
            columns: dict[str, np.ndarray] = {"action": random.uniform(-1, 1, (5, 2)).astype(np.float32)}
            for name, size in (("wide", (10, 24)), ("high", (30, 8))):
                columns[f"observation.images.{name}"] = random.integers(0, 256, (5, *size, 3), dtype=np.uint8)
            recorded[index] = columns
            writer.add(Episode(instruction="go", columns=columns, fps=10.0))
    dataset = LeRobotDataset.open(tmp_path / "data")
    for index, columns in recorded.items():
        for name, values in columns.items():
            assert np.array_equal(dataset.episode(index).columns[name], values), name
    chosen = experiment(tmp_path / "data")
    images = replace(chosen.policy.states.images, encoder="small", image_size=32)
    policy = replace(chosen.policy, states=replace(chosen.policy.states, images=images))
    run_training(replace(chosen, policy=policy), tmp_path / "run")
    assert all(np.isfinite(losses(tmp_path / "run")))


@pytest.mark.parametrize(
    ("training", "policy", "message"),
    [
        (
            {"batch_size": 99_999_999},
            {},
            r"batch_size=99999999 is far more than the \d+ windows.*--training.batch-size",
        ),
        ({"batch_size": 4096}, {"chunk_size": 10_000}, r"takes [\d.]+ GB .* this machine has .*--policy.chunk-size"),
        ({"evaluate_every": 2}, {}, r"--training.evaluate-every needs a suite, but .* name no suite.*use --suite NAME"),
        ({}, {"layers": 1000, "width": 100_000}, r"weights do not fit into the .* GB of this machine.*--policy.layers"),
    ],
)
def test_settings_that_do_not_fit_the_data_or_the_machine_are_refused_by_their_flags(
    tmp_path: Path, training: dict[str, int], policy: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from astra.experiments.run_training import run_training
    from astra.training import room

    if training:
        monkeypatch.setattr(room, "memory", lambda: 2**28)
    chosen = experiment(record(tmp_path / "data", (5, 4, 5)), **policy)
    with pytest.raises(ValueError, match=message):
        run_training(replace(chosen, training=replace(chosen.training, **training)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_may_hold_each_window_of_small_data_several_times(tmp_path: Path) -> None:
    from dataclasses import replace

    from astra.experiments.run_training import run_training

    chosen = experiment(record(tmp_path / "data", (2, 3)))
    run_training(replace(chosen, training=replace(chosen.training, batch_size=256, updates=1)), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 1


@pytest.mark.parametrize(
    ("episodes", "validation", "told"),
    [
        (
            12,
            0.05,
            "1 of 12 episodes is held out, too few to compare in a report: hold out 2 with --validation",
        ),
        (12, 0.17, "2 of 12 episodes are held out"),
        (12, 0.0, "no episode is held out: the validation loss is that of training episodes"),
        (2, 0.05, "1 of 2 episodes is held out, too few to compare in a report: collect more episodes"),
    ],
)
def test_too_few_held_out_episodes_are_told_before_training(
    episodes: int, validation: float, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from astra.experiments.training_data import open_training_data

    data = record(tmp_path / "data", (3,) * episodes)
    open_training_data(replace(experiment(data), validation=validation))
    said = " ".join(capsys.readouterr().out.split())
    assert told in said
    assert said.count("held out") == 1


def test_a_run_goes_on_with_the_data_and_settings_with_which_it_began(tmp_path: Path) -> None:
    from dataclasses import replace

    from astra.experiments.run_training import run_training

    data, other = record(tmp_path / "data", (6, 6, 6, 6)), record(tmp_path / "other", (6, 6, 6, 6), spike=9.0)
    begun = experiment(data)
    begun = replace(begun, training=replace(begun.training, updates=2, checkpoint_every=2))
    run = tmp_path / "run"
    run_training(begun, run)
    longer = replace(begun, training=replace(begun.training, updates=4))

    def goes_on(**changes: Any) -> None:
        run_training(replace(longer, **changes), run, resume=True, extend=True)

    with pytest.raises(ValueError, match="its stride is 1, not 3"):
        goes_on(stride=3)
    with pytest.raises(ValueError, match=r"its validation is 0\.2, not 0\.5"):
        goes_on(validation=0.5)
    with pytest.raises(ValueError, match="its sentences is True, not False"):
        goes_on(sentences=False)
    with pytest.raises(ValueError, match=r"its rollouts\.episodes is 20, not 5"):
        goes_on(rollouts=replace(begun.rollouts, episodes=5, workers=2))
    with pytest.raises(ValueError, match=r"a run on other demonstrations than those of .*other"):
        goes_on(dataset=other)
    moved = data.rename(tmp_path / "moved")
    goes_on(dataset=moved, rollouts=replace(begun.rollouts, workers=2, num_envs=3))
    assert json.loads((run / "config.json").read_text())["description"]["dataset"] == str(moved)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_run_holds_out_the_episodes_of_its_own_seed(tmp_path: Path, seed: int) -> None:
    from dataclasses import replace

    from astra.datasets import LeRobotDataset
    from astra.experiments.training_data import open_training_data

    data = record(tmp_path / "data", tuple(range(3, 13)))
    dataset, chosen = LeRobotDataset.open(data), experiment(data)
    opened = open_training_data(replace(chosen, training=replace(chosen.training, seed=seed)))
    training, held_out = dataset.split_episodes(0.2, seed)
    assert len(opened.training) == sum(int(dataset.lengths[each]) for each in training)
    batch = opened.held_out.batch(np.arange(len(opened.held_out)))
    assert batch.episodes is not None
    assert sorted(set(batch.episodes.tolist())) == list(held_out)
