import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from astra.policies.checkpoint import FORMAT
from astra.storage.atomic import atomic_folder
from astra.training.run_folder import RunFolder


def write_checkpoint(run: RunFolder, update: int, score: float | None = None) -> None:
    """Write a checkpoint that holds as much of a policy as the next start checks."""
    with run.new_checkpoint(update, score) as folder:
        (folder / "policy").mkdir()
        description = {"format": FORMAT, "policy": "astra", "config": {}, "spec": {}}
        (folder / "policy" / "config.json").write_text(json.dumps(description))


def test_a_kill_at_any_operation_leaves_a_complete_checkpoint_that_last_links_to(tmp_path: Path) -> None:
    here = Path(__file__).parent
    source = here.parents[1] / "src"
    done = subprocess.run(
        [sys.executable, here / "killed_checkpoints.py", tmp_path / "run"],
        env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{here}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.splitlines()
    assert len(outcomes) > 20
    assert list(dict.fromkeys(outcomes)) == ["old old", "new old", "new new"]


def test_a_failed_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=2)
    run.prepare({}, {})
    with pytest.raises(FileNotFoundError), run.new_checkpoint(7) as folder:
        (folder / "half").rename(folder / "missing" / "half")
    assert run.newest_checkpoint() is None
    assert list(run.checkpoints.iterdir()) == []


def test_checkpoints_are_ordered_by_number_beyond_six_digits(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=2)
    run.prepare({}, {})
    for update in (999_998, 999_999, 1_000_000):
        with run.new_checkpoint(update):
            pass
    newest = run.newest_checkpoint()
    assert newest is not None
    assert newest.name == "1000000"
    assert (run.checkpoints / "last").resolve() == newest.resolve()
    assert not (run.checkpoints / "999998").exists()


def test_last_and_best_are_linked_again_after_a_kill(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=2)
    run.prepare({}, {})
    for update, score in ((1, 0.5), (2, 0.9)):
        write_checkpoint(run, update, score)
    (run.checkpoints / "best").unlink()
    (run.checkpoints / "last").unlink()
    run.prepare({}, {})
    assert [(run.checkpoints / name).readlink().name for name in ("last", "best")] == ["000002", "000002"]


def test_hidden_files_of_the_system_stay_and_those_of_a_kill_go(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=2)
    run.prepare({}, {})
    write_checkpoint(run, 7)
    foreign = {run.checkpoints / ".DS_Store", run.checkpoints / ".nfs0001"}
    for path in foreign:
        path.touch()
    for name in (".000008.new-aa", ".000008.unfinished-aa", ".000006.removed", ".last.removed"):
        (run.checkpoints / name).mkdir()
    (run.checkpoints / ".best").symlink_to("000007")
    run.prepare({}, {})
    assert set(run.checkpoints.glob(".*")) == foreign


def test_a_copy_of_a_run_with_folders_in_the_place_of_links_goes_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=2)
    run.prepare({}, {})
    write_checkpoint(run, 7, 0.5)
    copied = RunFolder(Path(shutil.copytree(run.path, tmp_path / "copied")), keep=2)
    assert not (copied.checkpoints / "last").is_symlink()
    copied.prepare({}, {})
    write_checkpoint(copied, 8, 0.9)
    names = {"000007", "000008", "last", "best"}
    assert {path.name for path in copied.checkpoints.iterdir()} == names
    assert [(copied.checkpoints / name).readlink().name for name in ("last", "best")] == ["000008", "000008"]


def test_a_checkpoint_that_is_only_named_last_is_refused_and_kept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=2)
    (run.checkpoints / "last").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"last is a checkpoint under the name of a link: rename it to the `update`"):
        run.prepare({}, {})
    assert (run.checkpoints / "last").is_dir()


def test_a_score_that_is_not_a_number_is_never_the_best(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    run.prepare({}, {})
    for update, score in enumerate((math.nan, 0.2, math.nan), start=1):
        with run.new_checkpoint(update, score):
            pass
    assert run.best_score() == 0.2
    assert (run.checkpoints / "best").readlink().name == "000002"


def test_a_damaged_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
        RunFolder(tmp_path, keep=1).prepare({}, {})


def test_differences_to_another_run_are_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    run.prepare({"policy": {"width": 8, "states": {"bins": (1, 2)}}}, {})
    run.prepare({"policy": {"width": 8, "states": {"bins": (1, 2)}}}, {"command": "another"})
    with pytest.raises(
        ValueError, match=r"its policy.states.bins is \[1, 2\], not \[1, 3\]; its policy.width is 8, not 9"
    ):
        run.prepare({"policy": {"width": 9, "states": {"bins": (1, 3)}}}, {})
    assert json.loads((run.path / "config.json").read_text())["policy"]["width"] == 8


def test_an_edited_configuration_is_refused_until_its_checksum_is_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    run.prepare({"training": {"seed": 0}}, {})
    config = json.loads((run.path / "config.json").read_text())
    config["training"]["seed"] = 1
    (run.path / "config.json").write_text(json.dumps(config))
    for wanted in (0, 1):
        with pytest.raises(ValueError, match=r"was changed after Astra wrote it.*remove its entry"):
            run.prepare({"training": {"seed": wanted}}, {})
    del config["sha256"]
    (run.path / "config.json").write_text(json.dumps(config))
    run.prepare({"training": {"seed": 1}}, {})
    run.record_machine()
    assert "sha256" in json.loads((run.path / "config.json").read_text())


def test_a_run_from_before_the_renaming_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    run.prepare({"policy": {"kind": "AstraConfig", "horizon": 1}}, {})
    with run.new_checkpoint(4) as checkpoint:
        (checkpoint / "policy").mkdir()
        written = {"format": 1, "policy": "astra", "config": {}, "spec": {}, "code_version": "0.1.0"}
        (checkpoint / "policy" / "config.json").write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"format 1, but .*Train the policy again"):
        run.prepare({"policy": {"kind": "AstraConfig", "chunk_size": 1}}, {})


def test_every_machine_that_works_on_a_run_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    for name in ("here", "there", "there", "here"):
        monkeypatch.setattr("astra.training.run_folder.machine", lambda name=name: name)
        run.prepare({"seed": 0}, {"command": "train"})
        run.record_machine()
    config = json.loads((run.path / "config.json").read_text())
    assert config["machines"] == ["here", "there"]
    assert (config["seed"], config["description"]) == (0, {"command": "train"})


def test_an_atomic_folder_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="exists already"), atomic_folder(tmp_path / "there"):
        pass


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    run.prepare({"training": {"updates": 4, "average_ceiling": 0.9}}, {})
    with pytest.raises(ValueError, match=r"run of another version of Astra.*\(average_ceiling, ema_max_decay\)"):
        run.prepare({"training": {"updates": 4, "ema_max_decay": 0.9}}, {})
