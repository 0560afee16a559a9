"""The policy and the experiment of docs/add-a-policy.md in a package of their own: nothing of Astra is changed."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest

from astra.cli.main import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-policy.md"
MADE = "lab.mean_action:mean_action"
SHORT = (
    *("--training.updates", "4", "--training.batch-size", "4", "--training.log-every", "1"),
    *("--training.validation-every", "4", "--training.checkpoint-every", "2", "--validation", "0.5"),
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package that is importable and not yet installed, with a small dataset beside it."""
    import numpy as np

    from astra.datasets import DatasetWriter, Episode

    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").touch()
    (tmp_path / "lab" / "mean_action.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with DatasetWriter("data", fps=10) as writer:
        for number in range(4):
            actions = np.random.default_rng(number).normal(size=(6, 2)).astype(np.float32)
            columns = {"observation.state": actions.copy(), "action": actions}
            writer.add(Episode(instruction=("left", "right")[number % 2], columns=columns, fps=10))
    yield tmp_path
    for name in ("lab", "lab.mean_action"):
        sys.modules.pop(name, None)


def install(folder: Path) -> None:
    """Write what pip writes, with the entry points of the page."""
    (table,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    installed = folder / "lab-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(table.replace("project.entry-points.", "").replace('"', ""))
    invalidate_caches()


def test_a_policy_of_another_package_is_trained_resumed_and_loaded(package: Path) -> None:
    from astra.policies.checkpoint import load_policy

    install(package)
    assert main(["train", MADE, "--dataset", "data", "--policy.noise", "0.2", *SHORT]) == 0
    assert main(["train", MADE, "--resume", "--training.updates", "6"]) == 0
    assert main(["train", "--output", "runs/mean_action", "--resume", "--training.updates", "8"]) == 0
    run = json.loads((package / "runs/mean_action/config.json").read_text())
    assert run["description"]["experiment"] == MADE
    assert run["policy"] == {"kind": "MeanActionConfig", "noise": 0.2}
    policy = load_policy("runs/mean_action")
    assert type(policy).__name__ == "MeanAction"
    kept = json.loads((package / "runs/mean_action/checkpoints/last/policy/config.json").read_text())
    assert kept["policy"] == "mean-action"
    assert main(["report", "runs/mean_action"]) == 0


def test_a_policy_without_a_name_is_refused_before_the_training(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", MADE, "--dataset", "data", *SHORT]) == 2
    refusal = capsys.readouterr().err
    assert "the policy with the configuration MeanActionConfig has no name" in refusal
    assert "in the entry-point group astra.policies of its package (docs/add-a-policy.md)" in refusal
    assert not (package / "runs").exists()


def test_a_run_of_a_package_that_is_gone_says_what_to_install(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(package)
    assert main(["train", MADE, "--dataset", "data", *SHORT]) == 0
    shutil.rmtree(package / "lab-1.0.dist-info")
    invalidate_caches()
    assert main(["inspect", "checkpoint", "runs/mean_action"]) == 2
    assert "there is no policy 'mean-action'; known are astra, " in capsys.readouterr().err
    assert main(["train", "--output", "runs/mean_action", "--resume"]) == 2
    refusal = capsys.readouterr().err
    assert "there is no policy with the configuration MeanActionConfig; known are astra, " in refusal
    assert "Install the package that lists it in the entry-point group astra.policies" in refusal


def test_an_entry_point_that_is_no_policy_is_refused(package: Path) -> None:
    from astra.policies import find_policy

    install(package)
    listed = package / "lab-1.0.dist-info" / "entry_points.txt"
    for value, message in (
        ("lab.mean_action:mean_action", "expected a subclass of PolicyConfig"),
        ("lab.mean_action:Gone", "cannot be imported from lab.mean_action:Gone"),
    ):
        listed.write_text(f"[astra.policies]\nmean-action = {value}\n")
        invalidate_caches()
        with pytest.raises(ValueError, match=message):
            find_policy("mean-action")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lab.mean_action:gone", "has no attribute 'gone'"),
        ("no_such_module:made", "No module named 'no_such_module'"),
        (":made", "expected MODULE:FUNCTION"),
        ("lab.mean_action:MeanActionConfig", "is a MeanActionConfig; expected an Experiment, or a function"),
    ],
)
@pytest.mark.usefixtures("package")
def test_an_experiment_that_cannot_be_made_is_refused(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", name, *SHORT]) == 2
    assert message in capsys.readouterr().err
