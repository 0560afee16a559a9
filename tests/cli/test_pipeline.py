"""The pipeline on the command line, tiny: demonstrations, training, resume, evaluation, report."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

TINY = [
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--training.updates", "3", "--training.max-minutes", "None", "--training.batch-size", "4"),
    *("--training.log-every", "1", "--training.validation-every", "3", "--training.checkpoint-every", "3"),
]


def write_demonstrations(folder: Path, actions: int = 2) -> Path:
    """Write random data in the format of Push-T for both goals."""
    from astra.datasets import DatasetWriter, Episode
    from astra.environments.pusht.environment import observe_state
    from astra.environments.pusht.geometry import GOAL_POSES

    random = np.random.default_rng(0)
    with DatasetWriter(folder, fps=10.0) as writer:
        for number in range(6):
            columns = observe_state(random.uniform(100, 400, (12, 5)))
            columns["action"] = random.uniform(0, 512, (12, actions)).astype(np.float32)
            writer.add(Episode(instruction=list(GOAL_POSES)[number % 2], columns=columns, fps=10.0))
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from astra.cli.main import main

    folder = tmp_path_factory.mktemp("pipeline")
    data = write_demonstrations(folder / "data")
    arguments = ["train", "pusht-expert", "--dataset", str(data), "--output", str(folder / "run"), *TINY]
    assert main(arguments) == 0
    return folder / "run"


def test_training_leaves_a_run_folder(run_folder: Path) -> None:
    config = json.loads((run_folder / "config.json").read_text())
    assert config["policy"]["width"] == 16
    assert config["training"]["updates"] == 3
    assert "pusht-expert" in json.dumps(config["description"])
    assert (run_folder / "metrics.jsonl").read_text().count("\n") >= 3
    assert (run_folder / "checkpoints" / "last" / "policy" / "model.safetensors").exists()


@pytest.mark.simulator
def test_evaluation_and_report_work_on_the_run(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.cli.main import main

    agents = ("--agents", "policy", "swapped", "no-op")
    sizes = ("--episodes", "4", "--max-timesteps", "6", "--num-envs", "2", "--videos", "1")
    assert main(["evaluate", str(run_folder), "--suite", "pusht", *agents, *sizes]) == 0
    printed = capsys.readouterr().out
    assert "swapped" in printed
    assert "success counts at any step of an episode" in printed
    info = json.loads((run_folder / "eval" / "eval_info.json").read_text())
    assert info["overall"]["n_episodes"] == 4
    assert info["checkpoint"] == str(run_folder / "checkpoints/000003/policy")
    assert {task["instruction"] for task in info["per_task"]} == {
        "push the T to the center",
        "push the T to the lower right",
    }
    swapped = json.loads((run_folder / "eval" / "swapped" / "eval_info.json").read_text())
    told = {episode["seed"]: episode["instruction"] for episode in info["episodes"][::2]}
    assert all(told[episode["seed"]] != episode["instruction"] for episode in swapped["episodes"][::2])

    assert main(["report", str(run_folder)]) == 0
    html = (run_folder / "report.html").read_text()
    assert "was measured" not in html
    assert html.count("data:video/mp4") >= 2
    assert "attention" in html.lower()
    assert "Success counts at any step of an episode." in html


@pytest.mark.simulator
def test_a_policy_for_another_robot_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.cli.main import main

    data = write_demonstrations(tmp_path / "data", actions=3)
    assert main(["train", "own-data", "--dataset", str(data), "--output", str(tmp_path / "run"), *TINY]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--suite", "pusht", "--episodes", "1"]) == 2
    assert "3 action dimensions" in capsys.readouterr().err


def test_a_missing_simulator_is_refused_with_its_install_command(
    run_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.cli.main import main

    monkeypatch.setitem(sys.modules, "gym_pusht.envs.pusht", None)
    assert main(["evaluate", str(run_folder), "--suite", "pusht", "--episodes", "1"]) == 2
    assert "pip install '.[pusht]'" in capsys.readouterr().err


def test_the_folder_of_another_run_is_not_changed(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    before = {path: path.read_bytes() for path in run_folder.rglob("*.json")}
    data = run_folder.parent / "data"
    arguments = ["--dataset", str(data), "--output", str(run_folder), *TINY, "--training.seed", "7"]
    assert main(["train", "pusht-expert", *arguments]) == 2
    assert "another run" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in run_folder.rglob("*.json")}


@pytest.mark.parametrize(
    "line",
    [
        "evaluate RUN --suite pusht --episodes 1 --output DATA",
        "evaluate RUN --suite pusht --episodes 1 --output DATA/eval",
        "export RUN --output DATA/data/exported",
        "collect pusht --episodes 1 --workers 1 --output DATA/more",
        "convert lerobot DATA --output DATA/data/more --workers 1",
        "inspect dataset DATA --html DATA",
    ],
)
def test_no_command_writes_into_a_dataset(run_folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    data = run_folder.parent / "data"
    before = {path: path.is_file() and path.read_bytes() for path in data.rglob("*")}
    assert main([word.replace("RUN", str(run_folder)).replace("DATA", str(data)) for word in line.split()]) == 2
    error = capsys.readouterr().err
    assert "is a dataset: choose" in error or "is inside the dataset" in error or "is a folder: name a file" in error
    assert before == {path: path.is_file() and path.read_bytes() for path in data.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train2"], "did you mean 'train'"),
        (["train", "pusht-exprt"], "did you mean 'pusht-expert'"),
        (["train", "pusht-expert", "--dataset", "nowhere"], "nowhere"),
        (["collect", "pushtt", "--episodes", "1", "--output", "x"], "did you mean 'pusht'"),
        (["convert", "pusht-zar", "a", "b"], "did you mean 'pusht-zarr'"),
        (["convert", "pusht-zarr", "nowhere.tar", "b"], "nowhere.tar"),
        (["convert", "lerobot", "--output", "b"], "got no dataset to merge"),
        (["evaluate", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from astra.cli.main import main

    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_field_is_refused_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    with pytest.raises(SystemExit) as stop:
        main(["train", "pusht-expert", "--policy.widthh", "8"])
    assert stop.value.code == 2
    assert "--policy.width" in capsys.readouterr().err


def test_results_are_not_mixed_with_other_files(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.cli.main import main

    sizes = ("--suite", "pusht", "--episodes", "1", "--max-timesteps", "2", "--num-envs", "1")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "day.txt").write_text("mine")
    for place, first in ((run_folder, "checkpoints"), (tmp_path / "notes", "day.txt")):
        before = sorted(place.rglob("*"))
        assert main(["evaluate", str(run_folder), *sizes, "--output", str(place)]) == 2
        error = capsys.readouterr().err
        assert f"holds '{first}' and no evaluation: choose another folder for the results with --output" in error
        assert sorted(place.rglob("*")) == before
    for agent in ("no-op", "policy", "policy"):  # of an earlier evaluation, also of other agents
        chosen = ("--agents", agent, "--output", str(tmp_path / "results"))
        assert main(["evaluate", str(run_folder), *sizes, *chosen]) == 0


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import COMMANDS, main

    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert command in out


def test_a_folder_of_training_seeds_is_evaluated_and_reported_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.cli.main import main

    data, runs = write_demonstrations(tmp_path / "data"), tmp_path / "runs"
    arguments = ["train", "pusht-expert", "--dataset", str(data), "--output", str(runs), *TINY, "--seeds", "0", "1"]
    assert main(arguments) == 0
    limits = ("--max-timesteps", "4", "--num-envs", "2", "--videos", "0")
    sizes = ("--episodes", "2", *limits, "--agents", "policy")
    earlier = ("--suite", "pusht", "--episodes", "1", *limits, "--agents", "no-op")
    assert main(["evaluate", str(runs / "0"), *earlier]) == 0
    assert main(["evaluate", str(runs), "--suite", "pusht", *sizes]) == 0
    _, _, of_all = capsys.readouterr().out.partition("all training seeds: 0, 1")
    assert "policy" in of_all
    assert "no-op" not in of_all
    shutil.rmtree(runs / "0" / "eval" / "no-op")
    info = json.loads((runs / "eval" / "eval_info.json").read_text())
    assert [row["training_seed"] for row in info["episodes"]] == [0, 0, 1, 1]
    assert main(["report", str(runs)]) == 0
    assert "training seeds" in (runs / "report.html").read_text()
    assert main(["evaluate", str(runs), "--output", str(tmp_path / "other"), *sizes]) == 2
    assert "leave out --output" in capsys.readouterr().err
