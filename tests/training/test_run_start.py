"""Starts of a run: one process at a time, nothing left of a failed start, and another length later."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from safetensors import SafetensorError

from astra.storage.lock import hold_lock
from astra.training.run_folder import RunFolder
from astra.training.train import train


def run(linear: ModuleType, folder: Path, *, resume: bool = False, extend: bool = False, **changes: Any) -> Path:
    config, settings, statistics = linear.LinearConfig(), linear.training(**changes), linear.statistics()
    data = linear.windows(), linear.windows(seed=1)
    return train(config, settings, *data, folder, statistics=statistics, resume=resume, extend=extend)


def content(folder: Path) -> dict[str, bytes | None]:
    """Return the content of every file below a folder; None for folders."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def rates(folder: Path) -> list[float]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["train/learning_rate"] for line in lines if "train/learning_rate" in line]


@pytest.mark.parametrize("done", ["finished", "unfinished"])
def test_a_run_goes_on_to_another_length_along_its_schedule(
    linear: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], done: str
) -> None:
    run(linear, tmp_path / "long", updates=8)
    run(linear, tmp_path / "run", updates=4 if done == "finished" else 6, checkpoint_every=2)
    if done == "unfinished":
        checkpoints = tmp_path / "run" / "checkpoints"
        RunFolder(tmp_path / "run", keep=1)._by_age()[-1].rename(tmp_path / "removed")
        (checkpoints / "last").unlink()
    capsys.readouterr()
    policy = run(linear, tmp_path / "run", updates=8, checkpoint_every=2, resume=True, extend=True)
    assert policy.parent.name == "000008"
    before = 4 if done == "finished" else 6
    assert f"new length after 4 updates: training.updates {before} -> 8" in capsys.readouterr().out
    assert rates(tmp_path / "run")[4:] == rates(tmp_path / "long")[4:]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["updates"] == 8
    assert config["extensions"] == [{"after_update": 4, "updates": [before, 8]}]
    assert run(linear, tmp_path / "run", updates=8, checkpoint_every=2, resume=True) == policy


def test_another_length_needs_to_be_asked_for_and_to_leave_something_to_do(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run")
    before = content(tmp_path)
    with pytest.raises(ValueError, match=r"updates is 4, not 8.*or --resume to go on to this length"):
        run(linear, tmp_path / "run", updates=8)
    with pytest.raises(ValueError, match=r"has done 4 updates .* 4 -> 3 leaves nothing to do: choose a larger number"):
        run(linear, tmp_path / "run", updates=3, resume=True, extend=True)
    with pytest.raises(ValueError, match=r"its training.seed is 0, not 1\. Choose another folder, or the same"):
        run(linear, tmp_path / "run", updates=8, seed=1, resume=True, extend=True)
    assert content(tmp_path) == before


def test_one_process_at_a_time_works_on_a_run(linear: ModuleType, tmp_path: Path) -> None:
    run(linear, tmp_path / "run")
    before = content(tmp_path / "run")
    script = f"""
import time
from pathlib import Path
from astra.storage.lock import hold_lock
with hold_lock(Path({str(tmp_path / "run/.lock")!r}), "x"):
    print("held", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=rf"another process works on the run .*\(process {holder.pid} on .*: wait"):
            run(linear, tmp_path / "run", updates=8, resume=True, extend=True)
        holder.kill()
    run(linear, tmp_path / "run", resume=True)  # the lock ended with its process
    assert content(tmp_path / "run") == before


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), hold_lock(tmp_path / "lock", "it"):
            raise ZeroDivisionError
    assert content(tmp_path) == {}


def test_a_failed_start_leaves_no_folder(linear: ModuleType, tmp_path: Path) -> None:
    for nowhere in ("nowhere", "deep/run"):
        with pytest.raises(FileNotFoundError, match="holds no policy"):
            run(linear, tmp_path / "deep" / "run", init_from=str(tmp_path / nowhere))
        assert content(tmp_path) == {}
    run(linear, tmp_path / "deep" / "run")


def test_a_failed_start_keeps_what_was_there(linear: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "run" / "demonstrations").mkdir(parents=True)
    (tmp_path / "run" / "shell.log").write_text("started")
    before = content(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no policy"):
        run(linear, tmp_path / "run", init_from=str(tmp_path / "nowhere"))
    assert content(tmp_path) == before
    run(linear, tmp_path / "run")


@pytest.mark.parametrize(
    ("file", "place", "message"),
    [
        ("there/meta/info.json", "there", "is a dataset: choose another folder"),
        ("there/meta/info.json", "there/deep/run", "is inside the dataset .*there: choose another folder"),
        ("there", "there", "is a file, expected a folder"),
        ("there/photos/a.png", "there", r"holds other things \(photos\) and no run"),
        ("there/config.json", "there", "is not the configuration of a run"),
    ],
)
def test_a_run_begins_in_no_place_that_is_another_thing(
    linear: ModuleType, tmp_path: Path, file: str, place: str, message: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("{}")
    before = content(tmp_path)
    with pytest.raises(ValueError, match=message):
        run(linear, tmp_path / place)
    assert content(tmp_path) == before


def test_a_full_disk_leaves_the_checkpoint_before(
    linear: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def write(*arguments: Any) -> str:
        calls.append(arguments)
        if len(calls) > 6:
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        return save(*arguments)

    from astra.training import run_state

    save = run_state.save_tensors
    monkeypatch.setattr(run_state, "save_tensors", write)
    with pytest.raises(SafetensorError):
        run(linear, tmp_path / "run", updates=8, checkpoint_every=2)
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == ["000004", "000006", "last"]
    run(linear, tmp_path / "run", updates=8, checkpoint_every=2, resume=True)
    run(linear, tmp_path / "whole", updates=8, checkpoint_every=2)
    name = "checkpoints/last/policy/model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
