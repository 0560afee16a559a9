"""The tabletop pipeline on the command line, tiny: demonstrations, training, evaluation by level, report."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("pymunk", reason="needs the extra `tabletop`")

TASKS = ("rotate", "visual_manipulation")
TINY = [
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16"),
    *("--training.updates", "3", "--training.max-minutes", "None", "--training.batch-size", "4"),
    *("--training.log-every", "1", "--training.validation-every", "3", "--training.checkpoint-every", "3"),
]
ROLLOUTS = [
    *("--training.evaluate-every", "2", "--rollouts.episodes", "2"),
    *("--rollouts.levels", "L1", "--rollouts.tasks", "rotate"),
]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from astra.cli.main import main

    folder = tmp_path_factory.mktemp("tabletop")
    data, run = str(folder / "data"), str(folder / "run")
    assert main(["collect", "tabletop", "--episodes", "6", "--output", data, "--workers", "1", "--tasks", *TASKS]) == 0
    assert main(["train", "tabletop-short", "--dataset", data, "--output", run, *TINY, *ROLLOUTS]) == 0
    return folder / "run"


def test_rollouts_during_training_are_recorded(run_folder: Path) -> None:
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    measured = {line["update"]: line for line in lines if "evaluation/success" in line}
    assert list(measured) == [2, 3]  # every second update, and at the end
    assert all(0 <= line["evaluation/success"] <= 1 and "evaluation/goals" in line for line in measured.values())
    kept = json.loads((run_folder / "rollouts" / "eval_info.json").read_text())
    assert kept["seeds"] == [200_000, 200_001]


def test_policy_and_controls_are_evaluated_by_level_and_task(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    asked = ("--levels", "L1", "L2", "--tasks", *TASKS, "--episodes", "2", "--videos", "1", "--num-envs", "4")
    agents = ("policy", "shuffled", "blank", "no-op", "expert")
    assert main(["evaluate", str(run_folder), *asked, "--agents", *agents]) == 0
    assert "visual_manipulation" in capsys.readouterr().out
    infos = {}
    for name in agents:
        folder = run_folder / "eval" if name == "policy" else run_folder / "eval" / name
        infos[name] = json.loads((folder / "eval_info.json").read_text())
        assert infos[name]["seeds"] == 4 * [100_000, 100_001]
        assert {(row["task_group"], row["task"]) for row in infos[name]["per_task"]} == {
            (level, task) for level in ("L1", "L2") for task in TASKS
        }
        assert set(infos[name]["per_group"]) == {"L1", "L2"}
    assert infos["expert"]["overall"]["pc_success"] == 100
    assert infos["no-op"]["overall"]["pc_success"] == 0
    told = [episode["instruction"] for episode in infos["policy"]["episodes"]]
    assert told == [episode["environment_instruction"] for episode in infos["policy"]["episodes"]]
    assert told != [episode["instruction"] for episode in infos["shuffled"]["episodes"]]

    assert main(["report", str(run_folder)]) == 0
    html = (run_folder / "report.html").read_text()
    assert "By level and task" in html
    assert "shuffled" in html


def test_the_open_loop_error_is_measured_on_held_out_demonstrations(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    asked = ["inspect", "open-loop", str(run_folder / "checkpoints" / "last")]
    assert main([*asked, "--format", "json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["episodes"] == 1
    assert {row["name"] for row in made["dimensions"]} <= {"x0", "y0", "angle0", "x1", "y1", "angle1"}
    assert all(0 <= row["near"][0] <= 1 and row["error"] >= 0 for row in made["dimensions"])
    assert 0 <= made["teacher_forced_accuracy"] <= 1
    assert main([*asked, "--dataset", str(run_folder.parent / "data")]) == 0
    assert "chosen as in a rollout" in capsys.readouterr().out
    assert main([*asked, "--dataset", str(run_folder.parent / "none")]) == 2
    assert "none" in capsys.readouterr().err


def test_the_open_loop_error_needs_a_run_that_knows_its_held_out_episodes(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    alone = shutil.copytree(run_folder / "checkpoints" / "last" / "policy", tmp_path / "policy")
    assert main(["inspect", "open-loop", str(alone)]) == 2
    assert "is a policy without its run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--levels", "L7"], "not at 'L7'"),
        (["--tasks", "juggle"], "no task 'juggle'"),
        (["--agents", "swapped"], "no control 'swapped'; its controls are shuffled, blank"),
        (["--episodes", "0"], "--episodes must be at least 1, got 0"),
    ],
)
def test_options_that_the_tabletop_does_not_have_are_refused(
    run_folder: Path, asked: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    assert main(["evaluate", str(run_folder), *asked]) == 2
    assert message in capsys.readouterr().err


def test_contrast_and_augmentation_can_be_added_to_an_experiment_without_them(run_folder: Path) -> None:
    from astra.cli.main import main

    data, run = str(run_folder.parent / "data"), run_folder.parent / "contrast"
    switches = (
        "--contrast",
        "--training.contrastive.negatives",
        "2",
        "--augment",
        "--training.augmentation.shift",
        "0.1",
    )
    size = (
        "--training.batch-size",
        "12",
        "--training.contrastive.cdl-fraction",
        "1.0",
        "--training.gradient-accumulation-steps",
        "1",
    )
    assert main(["train", "tabletop-short", "--dataset", data, "--output", str(run), *TINY, *switches, *size]) == 0
    training = json.loads((run / "config.json").read_text())["training"]
    assert training["contrastive"]["negatives"] == 2
    assert training["augmentation"]["shift"] == 0.1
    assert "retrieval_accuracy" in (run / "metrics.jsonl").read_text()
    assert json.loads((run_folder / "config.json").read_text())["training"]["contrastive"] is None
