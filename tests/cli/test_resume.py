"""`astra train --resume` knows a run's settings from its own config.json."""

import json
import shutil
from pathlib import Path

import pytest

from astra.storage.metrics_file import read_metrics_lines
from tests.cli.test_pipeline import write_demonstrations

SMALL = [
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--training.updates", "4", "--training.max-minutes", "None", "--training.batch-size", "4"),
    *("--training.log-every", "1", "--training.validation-every", "4", "--training.checkpoint-every", "2"),
    *("--validation", "0.2", "--stride", "2"),
]
WEIGHTS = "checkpoints/last/policy/model.safetensors"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from astra.cli.main import main

    folder = tmp_path_factory.mktemp("resume")
    data = write_demonstrations(folder / "data")
    assert main(["train", "own-data", "--dataset", str(data), "--output", str(folder / "run"), *SMALL]) == 0
    return folder / "run"


@pytest.fixture
def half(started: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, as it was when it was half done."""
    shutil.copytree(started, tmp_path / "half", symlinks=True)
    shutil.rmtree(tmp_path / "half/checkpoints/000004")
    return tmp_path / "half"


@pytest.mark.parametrize("named", [True, False])
def test_a_run_continues_without_its_options(started: Path, half: Path, named: bool) -> None:
    from astra.cli.main import main

    assert main(["train", *(["own-data"] if named else []), "--output", str(half), "--resume"]) == 0
    assert (half / WEIGHTS).read_bytes() == (started / WEIGHTS).read_bytes()
    assert (half / "config.json").read_text() == (started / "config.json").read_text()


def test_a_run_of_a_name_continues_in_its_usual_folder(
    started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    shutil.copytree(started, tmp_path / "runs" / "own-data", symlinks=True)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "own-data", "--resume"]) == 0
    assert "finished after 4 updates" in capsys.readouterr().out


def test_a_run_is_extended(half: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    assert main(["train", f"--output={half}", "--resume", "--training.updates", "6"]) == 0
    assert "training.updates 4 -> 6; the learning rate goes on along the new schedule" in capsys.readouterr().out
    assert json.loads((half / "config.json").read_text())["training"]["updates"] == 6
    assert (half / "checkpoints/last").resolve().name == "000006"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "--resume needs the folder of a run"),
        (["--output", "nowhere", "--resume"], "nowhere holds no run to resume"),
        (["pusht-expert", "--output", "RUN", "--resume"], "a run of own-data, not of pusht-expert: leave pusht-expert"),
        (["--output", "RUN", "--resume", "--training.seed", "3"], "its --training.seed is 0, not 3"),
    ],
)
def test_what_cannot_be_resumed_is_refused(
    half: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    assert main(["train", *(str(half) if argument == "RUN" else argument for argument in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_run_with_a_damaged_line_of_metrics_is_refused_and_one_cut_short_goes_on(
    half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    metrics = half / "metrics.jsonl"
    first, second, *_ = whole = metrics.read_text().splitlines(keepends=True)
    metrics.write_text(first + second[:9] + "\n" + "".join(whole[2:]))
    assert main(["train", "--output", str(half), "--resume"]) == 2
    assert "metrics.jsonl is damaged at line 2" in capsys.readouterr().err
    metrics.write_text(first + second + '{"upd')
    with pytest.warns(UserWarning, match="ends within line 3, which is left out"):
        assert main(["train", "--output", str(half), "--resume"]) == 0
    assert metrics.read_text().startswith(first + second + '{"update": 3')


def test_a_run_that_was_killed_while_it_wrote_its_first_line_goes_on(
    started: Path, half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    shutil.rmtree(half / "checkpoints")
    (half / "metrics.jsonl").write_text('{"upd')
    with pytest.warns(UserWarning, match="ends within line 1, which is left out"):
        assert main(["train", "--output", str(half), "--resume"]) == 0
    assert main(["train", "--output", str(half), "--resume", "--training.updates", "5"]) == 0
    found, whole = (read_metrics_lines(folder / "metrics.jsonl") for folder in (half, started))
    assert [line["update"] for line in found][: len(whole)] == [line["update"] for line in whole]


def test_a_seed_that_is_added_on_resuming_keeps_the_name_of_the_experiment(started: Path, tmp_path: Path) -> None:
    from astra.cli.main import main

    shutil.copytree(started, tmp_path / "seeds" / "0", symlinks=True)
    assert main(["train", "--output", str(tmp_path / "seeds"), "--resume", "--seeds", "0", "1"]) == 0
    assert json.loads((tmp_path / "seeds/1/config.json").read_text())["description"]["experiment"] == "own-data"
    assert main(["train", "own-data", "--output", str(tmp_path / "seeds/1"), "--resume"]) == 0


@pytest.mark.parametrize(
    "line",
    ["train --output RUN --resume", "inspect open-loop RUN", "report RUN --held-out 1"],
    ids=lambda line: line[:9],
)
def test_a_dataset_that_only_a_run_names_is_not_downloaded(
    half: Path, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    from astra.cli.main import main

    asked = []

    def snapshot_download(repository: str, **options: object) -> str:
        asked.append(repository)
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    config = json.loads((half / "config.json").read_text())
    del config["sha256"]
    (half / "checkpoints/last").unlink()
    (half / "checkpoints/last").symlink_to("000002")
    config["description"]["dataset"] = "strangers/pushes"
    (half / "config.json").write_text(json.dumps(config))
    arguments = line.replace("RUN", str(half)).split()
    assert main(arguments) == 2
    assert "nothing is downloaded only because a run names it" in capsys.readouterr().err
    assert asked == []
    assert main([*arguments, "--dataset", "strangers/pushes"]) == 2
    assert asked == ["strangers/pushes"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"description": {}}', '{"description": {"dataset": 3}}'])
def test_a_damaged_configuration_is_one_message(half: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    (half / "config.json").write_text(damage)
    assert main(["train", "--output", str(half), "--resume"]) == 2
    assert "config.json is not" in capsys.readouterr().err


def test_a_run_never_goes_into_a_dataset(started: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    data = started.parent / "data"
    before = sorted(data.rglob("*"))
    for arguments in (["train", "own-data", "--dataset", str(data), *SMALL], ["demo"]):
        assert main([*arguments, "--output", str(data)]) == 2
        assert "is a dataset: choose another folder" in capsys.readouterr().err
    assert sorted(data.rglob("*")) == before
