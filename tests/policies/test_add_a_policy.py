"""The policy of docs/add-a-policy.md goes through the real command line, added as the page says."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-policy.md"
SHORT = (
    *("--training.updates", "4", "--training.batch-size", "4", "--training.log-every", "1"),
    *("--training.validation-every", "4", "--training.checkpoint-every", "4"),
)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of `astra train mean-action` on two short demonstrations; the policy stays listed during the tests."""
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.cli.main import main
    from astra.experiments import EXPERIMENTS, NamedExperiment
    from astra.lazy_function import LazyFunction
    from astra.policies import POLICIES

    folder = tmp_path_factory.mktemp("added")
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))
    (folder / "added_policy.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        added = importlib.import_module("added_policy")
        patch.setitem(POLICIES, "mean-action", added.MeanActionConfig)
        make = LazyFunction("added_policy", "mean_action")
        named = NamedExperiment(make=make, row="an example", scale="cpu", hours="0.01 on one core")
        patch.setitem(EXPERIMENTS, "mean-action", named)
        data, run = folder / "data", folder / "run"
        collect = ("--episodes", "2", "--near-goal", "1", "--workers", "1", "--output", str(data))
        assert main(["collect", "pusht", *collect]) == 0
        arguments = ("--dataset", str(data), "--output", str(run), "--policy.noise", "0.2", *SHORT)
        assert main(["train", "mean-action", *arguments]) == 0
        yield run


@pytest.mark.simulator
def test_an_added_policy_is_trained_and_saved(run_folder: Path) -> None:
    from astra.policies.checkpoint import load_policy

    config = json.loads((run_folder / "config.json").read_text())
    assert config["policy"] == {"kind": "MeanActionConfig", "noise": 0.2}
    assert (run_folder / "metrics.jsonl").read_text().count("train/loss") == 4
    policy = load_policy(run_folder)
    assert policy.config.noise == 0.2
    assert (policy.chunk_size, policy.config.reference_state, policy.config.window) == (1, None, None)
    assert policy.trunk is policy


@pytest.mark.simulator
def test_an_added_policy_is_evaluated_and_reported(run_folder: Path) -> None:
    from astra.cli.main import main

    sizes = ("--episodes", "2", "--max-timesteps", "4", "--num-envs", "2", "--videos", "0")
    assert main(["evaluate", str(run_folder), "--agents", "policy", *sizes]) == 0
    info = json.loads((run_folder / "eval" / "eval_info.json").read_text())
    assert info["overall"]["n_episodes"] == 2
    assert list((run_folder / "eval").glob("*.png")) == []  # it has no attention to show
    assert main(["report", str(run_folder)]) == 0
    assert "MeanActionConfig" in (run_folder / "report.html").read_text()


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("export", "{run}", "--output", "{other}"), "a MeanAction cannot be exported, only an Astra"),
        (("train", "mean-action", "--contrast", "--dataset", "{data}", "--output", "{other}"), "a MeanAction cannot"),
    ],
)
def test_what_an_added_policy_cannot_do_is_refused(
    run_folder: Path, command: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    other = run_folder.parent / "other"
    places = {"run": run_folder, "data": run_folder.parent / "data", "other": other}
    assert main([part.format(**places) for part in command]) == 2
    assert message in capsys.readouterr().err
    assert not other.exists()
