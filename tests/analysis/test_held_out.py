"""Predicted against demonstrated actions of the episodes that a run held out."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

TINY = [
    *("--policy.layers", "1", "--policy.heads", "2", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--training.updates", "2", "--training.max-minutes", "None", "--training.batch-size", "4"),
    *("--training.log-every", "1", "--training.validation-every", "2", "--training.checkpoint-every", "2"),
    *("--validation", "0.5"),
]


def write_recordings(folder: Path) -> Path:
    """Write six recordings of a robot that no suite knows, of 1 to 11 timesteps; the gripper never moves."""
    from astra.datasets import DatasetWriter, Episode
    from astra.trajectory import ActionSpec

    random = np.random.default_rng(0)
    actions = ActionSpec(
        names=("x $", "angle", "gripper"),
        low=(-1.0, -180.0, 0.0),
        high=(1.0, 180.0, 1.0),
        periodic=(False, True, False),
    )
    with DatasetWriter(folder, fps=10.0, actions=actions) as writer:
        for length in (1, 3, 5, 7, 9, 11):
            moved = np.stack([random.uniform(-1, 1, length), random.uniform(-180, 180, length), np.zeros(length)], 1)
            columns: dict[str, np.ndarray] = {
                "observation.state": moved[:, :2].astype(np.float32),
                "observation.images.wrist": random.integers(0, 256, (length, 16, 24, 3), dtype=np.uint8),
                "action": moved.astype(np.float32),
            }
            writer.add(Episode(instruction="open <b>the</b> drawer", columns=columns, fps=10.0))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on recordings without a suite."""
    from astra.cli.main import main

    folder = tmp_path_factory.mktemp("own")
    data = write_recordings(folder / "data")
    assert main(["train", "own-data", "--dataset", str(data), "--output", str(folder / "run"), *TINY]) == 0
    return folder / "run"


def test_the_report_of_own_data_compares_predicted_with_demonstrated_actions(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main
    from astra.evaluation.held_out_info import BASELINES, POLICY, read_held_out

    assert main(["report", str(run)]) == 0
    assert "held-out episodes: " in capsys.readouterr().out
    info = read_held_out(run / "held_out" / "held_out.json")
    assert info["episodes"] == info["held_out_episodes"] == 3
    assert [dimension["name"] for dimension in info["dimensions"]] == ["x $", "angle"]  # the gripper never moves
    for dimension in info["dimensions"]:
        for name in (POLICY, *BASELINES):
            estimate = dimension["errors"][name]
            assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"]
    for name in BASELINES:
        difference = info["all"][POLICY]["value"] - info["all"][name]["value"]
        assert info["differences"][name]["value"] == pytest.approx(difference)
    assert [shown["choice"] for shown in info["shown"]] == ["smallest error", "median error", "largest error"]
    assert [shown["error"] for shown in info["shown"]] == sorted(shown["error"] for shown in info["shown"])
    html = (run / "report.html").read_text()
    assert "<h2>Held-out episodes" in html
    assert html.count("Predicted and demonstrated actions of episode") == 3
    assert html.count("Frames of observation.images.wrist in episode") == 3
    assert "Attention weights of the trained policy" in html
    assert "open &lt;b&gt;the&lt;/b&gt; drawer" in html
    assert html.index("does not beat its controls") < html.index("<h2>")  # two updates teach nothing


def test_a_run_that_held_out_nothing_is_measured_on_its_training_episodes_and_says_so(
    run: Path, tmp_path: Path
) -> None:
    from astra.analysis.held_out import write_held_out
    from astra.evaluation.held_out_info import episodes_of, read_held_out
    from astra.evaluation.report import write_report
    from astra.storage.json_checksum import checked_json

    seen = Path(shutil.copytree(run, tmp_path / "seen", symlinks=True))
    config = json.loads((seen / "config.json").read_text())
    config["description"] |= {"validation": 0, "episodes": 6}
    (seen / "config.json").write_text(checked_json(config))
    info = read_held_out(write_held_out(seen, 16) / "held_out.json")
    assert (info["episodes"], episodes_of(info)) == (6, "training")
    html = write_report(seen).read_text()
    assert "<h2>Training episodes: predicted against" in html
    assert "their error says nothing about new ones" in html
    assert "On training episodes the policy predicts no better than" in html


def test_a_report_without_its_demonstrations_says_why_and_keeps_what_was_measured(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.analysis.held_out import write_held_out
    from astra.cli.main import main

    if not (run / "held_out").exists():
        write_held_out(run, 2)
    data = run.parent / "data"
    moved = data.rename(tmp_path / "moved")
    try:
        assert main(["report", str(run)]) == 0
        out = capsys.readouterr().out
        assert "held-out episodes are not measured" in out
        assert str(data) in out
        assert "<h2>Held-out episodes" in (run / "report.html").read_text()
        assert main(["report", str(run), "--held-out", "2"]) == 2
        assert main(["report", str(run), "--held-out", "1", "--dataset", str(moved)]) == 0
        assert "too few to compare" in (run / "report.html").read_text()
        assert main(["report", str(run), "--held-out", "-1"]) == 2
        assert "--held-out must be at least 0, got -1" in capsys.readouterr().err
    finally:
        moved.rename(data)


def test_a_checkpoint_is_named_by_its_number_and_all_of_its_parameters_are_counted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main
    from astra.policies.checkpoint import load_policy

    assert main(["inspect", "checkpoint", str(run)]) == 0
    facts = dict(re.findall(r"^(\S.*?)  +(.*)$", capsys.readouterr().out, re.MULTILINE))
    assert facts["policy"] == str(run / "checkpoints" / "000002" / "policy")
    parts = {name: int(count.replace(",", "")) for name, count in facts.items() if name.startswith("parameters")}
    total = parts.pop("parameters")
    assert total == sum(parts.values()) == sum(weight.numel() for weight in load_policy(run).parameters())
    assert "parameters of queries" in parts


def test_training_says_what_to_do_next_where_there_is_no_suite(run: Path, repository: Path) -> None:
    from astra.experiments.next_step import next_step
    from astra.storage.json_checksum import checked_json

    policy = run / "checkpoints" / "last" / "policy"
    text = next_step(run, policy)
    assert f"astra report {run}" in text
    assert "astra evaluate" not in text
    assert "astra export" in text
    assert " --output " in text.partition("astra export")[2]
    alone = next_step(run, policy, compared=False)
    assert f"astra report {run}   shows the losses" in alone
    assert "held-out" not in alone
    for name in re.findall(r"docs/[\w./-]+\.md", text):
        assert "policy.act(" in (repository / name).read_text(), "the page shows how to act"
    assert next_step(run, policy, "mine:suite") == f"next: astra evaluate {run} --suite mine:suite"
    spaced = next_step(Path("runs/my run"), policy).splitlines()[0]
    assert shlex.split(spaced)[:4] == ["next:", "astra", "report", "runs/my run"], "the command works when it is copied"
    config = json.loads((policy / "config.json").read_text())
    config["spec"]["suite"] = "pusht"
    kept = (policy / "config.json").read_text()
    (policy / "config.json").write_text(checked_json(config))
    try:
        assert next_step(run, policy) == f"next: astra evaluate {run}"
    finally:
        (policy / "config.json").write_text(kept)


def test_the_policy_acts_along_every_episode_as_it_would_alone(run: Path) -> None:
    from astra.analysis.predicted_actions import predict_episodes
    from astra.analysis.split import open_dataset
    from astra.evaluation.held_out_info import POLICY
    from astra.policies.checkpoint import load_policy

    policy = load_policy(run)
    dataset = open_dataset(policy, run.parent / "data")
    together = predict_episodes(policy, dataset, [0, 5, 2], [1, 3])
    assert [len(each.demonstrated) for each in together] == [1, 11, 5]
    for each in together:
        (alone,) = predict_episodes(policy, dataset, [each.episode], [1, 3])
        assert torch.allclose(alone.predicted[POLICY], each.predicted[POLICY], atol=1e-4)
        rows = slice(dataset.starts[each.episode], dataset.ends[each.episode])
        assert np.array_equal(each.demonstrated.numpy(), dataset.columns["action"][rows])


def test_the_baseline_repeats_the_action_before_each_chunk() -> None:
    from astra.analysis.predicted_actions import repeat_last

    demonstrated = torch.arange(1.0, 8.0)[:, None]
    mean = torch.tensor([-5.0])
    assert repeat_last(demonstrated, mean, 1)[:, 0].tolist() == [-5, 1, 2, 3, 4, 5, 6]
    assert repeat_last(demonstrated, mean, 3)[:, 0].tolist() == [-5, -5, -5, 3, 3, 3, 6]


def test_the_mean_of_angles_beside_the_seam_lies_at_the_seam(tmp_path: Path) -> None:
    from astra.analysis.predicted_actions import mean_action
    from astra.datasets import DatasetWriter, Episode, LeRobotDataset
    from astra.trajectory import ActionSpec

    actions = ActionSpec(names=("angle", "x"), low=(-180.0, -180.0), high=(180.0, 180.0), periodic=(True, False))
    with DatasetWriter(tmp_path / "data", fps=5.0, actions=actions) as writer:
        for angle in (170.0, -170.0):
            columns = {"observation.state": np.zeros((3, 1)), "action": np.full((3, 2), angle)}
            columns = {name: values.astype(np.float32) for name, values in columns.items()}
            writer.add(Episode(instruction="turn", columns=columns, fps=5.0))
    angle, x = mean_action(LeRobotDataset.open(tmp_path / "data"), [0, 1]).tolist()
    assert abs(angle) == pytest.approx(180)
    assert x == pytest.approx(0)
