"""The example of docs/add-an-environment.md through the command line, from outside the tree."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from astra.cli.main import main
from astra.environments import SUITES
from astra.storage.json_checksum import checked_json

TINY = [
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--training.updates", "3", "--training.max-minutes", "None", "--training.batch-size", "4"),
    *("--training.log-every", "1", "--training.validation-every", "3", "--training.checkpoint-every", "3"),
]


@pytest.fixture(scope="module")
def folder(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the page's file, its demonstrations and a trained policy."""
    page = (repository / "docs/add-an-environment.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    folder = tmp_path_factory.mktemp("outside")
    (folder / "line.py").write_text(block)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [path for path in sys.path if path])
        assert main(["collect", "line:suite", "--episodes", "6", "--output", "data", "--workers", "1"]) == 0
        assert main(["train", "own-data", "--dataset", "data", "--output", "run", *TINY]) == 0
        yield folder
    sys.modules.pop("line", None)


def test_the_expert_of_an_own_suite_is_collected(folder: Path) -> None:
    info = json.loads((folder / "data/meta/info.json").read_text())
    assert info["total_episodes"] == 6
    assert info["total_tasks"] == 2
    assert info["astra"]["suite"] == info["robot_type"] == "line"


def test_a_policy_is_evaluated_in_an_own_suite(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agents = ("policy", "swapped", "no-op", "expert")
    asked = ("--episodes", "4", "--videos", "1", "--num-envs", "3", "--max-timesteps", "9")
    assert main(["evaluate", "run", "--suite", "line:suite", "--agents", *agents, *asked]) == 0
    assert "nearness" in capsys.readouterr().out
    infos = {
        name: json.loads((folder / "run/eval" / ("" if name == "policy" else name) / "eval_info.json").read_text())
        for name in agents
    }
    assert {info["suite"] for info in infos.values()} == {"line"}
    assert infos["policy"]["options"] == {"kind": "LineOptions", "max_timesteps": 9}
    assert infos["policy"]["seeds"] == [100_000, 100_000, 100_001, 100_001]
    assert infos["expert"]["overall"]["pc_success"] == 100
    assert infos["no-op"]["overall"]["pc_success"] == 0
    assert {episode["timesteps"] for episode in infos["no-op"]["episodes"]} == {9}
    for episode in infos["swapped"]["episodes"]:
        assert episode["instruction"] != episode["environment_instruction"]
    assert (folder / "run/eval/attention.png").exists()


def test_a_policy_whose_suite_is_not_installed_needs_the_flag(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "run", "--episodes", "1"]) == 2
    error = capsys.readouterr().err
    assert "belongs to the suite 'line', which is not installed" in error
    assert f"use --suite NAME with one of {', '.join(SUITES)}, or --suite MODULE:FUNCTION with your own" in error
    assert main(["evaluate", "run", "--suite", "tabletop"]) == 2
    assert "the tabletop has the views" in capsys.readouterr().err


def test_rollouts_during_training_use_the_experiments_suite(folder: Path) -> None:
    rollouts = ("--training.evaluate-every", "3", "--rollouts.episodes", "2")
    asked = ["--dataset", "data", "--output", "with-rollouts", "--suite", "line:suite", *TINY, *rollouts]
    assert main(["train", "own-data", *asked]) == 0
    assert "evaluation/nearness" in (folder / "with-rollouts/metrics.jsonl").read_text()
    kept = json.loads((folder / "with-rollouts/rollouts/eval_info.json").read_text())
    assert kept["suite"] == "line"


def test_help_lists_the_options_of_the_suite(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (["collect", "line:suite", "--help"], ["evaluate", "run", "--suite", "line:suite", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(asked)
        assert stop.value.code == 0
        assert "--max-timesteps" in capsys.readouterr().out


def test_a_policy_of_another_rate_is_told_before_it_is_evaluated(folder: Path, tmp_path: Path) -> None:
    policy = json.loads((folder / "run/checkpoints/last/policy/config.json").read_text())
    assert policy["spec"]["fps"] == 10
    shutil.copytree(folder / "run/checkpoints/last/policy", tmp_path / "policy")
    policy["spec"]["fps"] = 30.0
    (tmp_path / "policy/config.json").write_text(checked_json(policy))
    asked = ("--episodes", "1", "--videos", "0", "--max-timesteps", "2", "--output", str(tmp_path / "eval"))
    with pytest.warns(UserWarning, match="learned from 30 timesteps per second, but line has 10"):
        assert main(["evaluate", str(tmp_path / "policy"), "--suite", "line:suite", *asked]) == 0
