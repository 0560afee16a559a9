"""Runs of a tiny table, from the plan to the result files."""

import gzip
import json
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from astra.paper.one_run import Run
    from astra.paper.running import Folders

pytestmark = pytest.mark.simulator
ROWS = ("gato", "astra")


def folders_in(folder: Path) -> "Folders":
    from astra.paper.running import Folders

    return Folders(data=folder / "data", runs=folder / "runs", results=folder / "results")


def plan_of(
    tiny_table: ModuleType, folder: Path, rows: tuple[str, ...] = ROWS, seeds: tuple[int, ...] = (0,)
) -> "list[Run]":
    from astra.paper.running import plan_runs
    from astra.paper.table import Column

    table = tiny_table.tiny()
    table = replace(table, columns=(*table.columns, Column(name="loss", held_out=True)))
    return plan_runs(table, "cpu", tiny_table.settings(), [table.row(row) for row in rows], seeds, folders_in(folder))


@pytest.fixture(scope="module")
def finished(tiny_table: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both rows were run with one seed, each in its own process."""
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.paper.running import run_all

    folder = tmp_path_factory.mktemp("tiny")
    tiny_table.settings().demonstrations.ensure(folders_in(folder).data)
    runs = plan_of(tiny_table, folder)
    assert run_all(runs, workers=2) == [], "\n".join(run.log.read_text() for run in runs)
    return folder


def test_every_run_leaves_its_small_files_and_nothing_of_this_machine(tiny_table: ModuleType, finished: Path) -> None:
    from astra.evaluation.kept import read_kept

    for run in plan_of(tiny_table, finished):
        kept = sorted(path.name for path in run.results.iterdir())
        assert kept == ["config.json", "episodes.json.gz", "eval_info.json", "held_out.json", "metrics.jsonl"]
        (loss,) = json.loads((run.results / "held_out.json").read_text())["first_action_loss"]
        assert 1 < loss < 4  # log(8) = 2.08 for bins at random
        contents = [path.read_bytes() for path in run.results.iterdir()]
        texts = [(gzip.decompress(each) if each[:2] == b"\x1f\x8b" else each).decode() for each in contents]
        assert not any(str(finished) in text or str(Path.cwd()) in text for text in texts)
        info = read_kept(run.results)
        assert [episode["seed"] for episode in info["episodes"]] == [100_000, 100_001]
        assert json.loads((run.results / "config.json").read_text())["training"]["seed"] == 0


def test_all_rows_of_a_seed_come_before_the_next_seed(tiny_table: ModuleType, tmp_path: Path) -> None:
    runs = plan_of(tiny_table, tmp_path, seeds=(3, 1))
    assert [(run.row, run.seed) for run in runs] == [("gato", 3), ("astra", 3), ("gato", 1), ("astra", 1)]
    assert [run.experiment.training.seed for run in runs] == [3, 3, 1, 1]


def test_what_is_finished_is_never_run_again(tiny_table: ModuleType, finished: Path) -> None:
    from astra.paper.running import run_all

    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    runs = plan_of(tiny_table, finished)
    assert all(run.finished for run in runs)
    assert run_all(runs, workers=2) == []
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_run_whose_trainings_folder_is_lost_is_finished_still(
    tiny_table: ModuleType, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    assert all(run.finished for run in plan_of(tiny_table, tmp_path))


def test_results_of_another_budget_are_refused(tiny_table: ModuleType, finished: Path) -> None:
    from astra.paper.running import plan_runs

    table, settings = tiny_table.tiny(), tiny_table.settings()
    longer = replace(settings, training=replace(settings.training, updates=5))
    with pytest.raises(ValueError, match="made with other settings of training"):
        plan_runs(table, "cpu", longer, [table.row("astra")], (0,), folders_in(finished))
    other = replace(settings, evaluation=replace(settings.evaluation, seed=7))
    with pytest.raises(ValueError, match="made with other settings of evaluation"):
        plan_runs(table, "cpu", other, [table.row("astra")], (0,), folders_in(finished))


def test_results_of_more_agents_than_asked_for_count(tiny_table: ModuleType, finished: Path, tmp_path: Path) -> None:
    from astra.storage.json_checksum import checked_json

    shutil.copytree(finished / "results", tmp_path / "results")
    asked = plan_of(tiny_table, tmp_path)[0]
    more = replace(asked, evaluation=replace(asked.evaluation, agents=("policy", "no-op")))
    with pytest.raises(ValueError, match="made with other settings of evaluation"):
        more.check_results()
    config = json.loads((asked.results / "config.json").read_text())
    del config["sha256"]
    config["evaluation"]["agents"].append("no-op")
    (asked.results / "config.json").write_text(checked_json(config))
    more.check_results()
    asked.check_results()


def test_an_unfinished_training_goes_on_to_the_same_weights(
    tiny_table: ModuleType, finished: Path, tmp_path: Path
) -> None:
    from astra.evaluation.kept import read_kept
    from astra.paper.one_run import run_once

    (run,) = plan_of(tiny_table, finished, rows=("astra",))
    (again,) = plan_of(tiny_table, tmp_path, rows=("astra",))
    shutil.copytree(finished / "data", tmp_path / "data")
    shutil.copytree(run.folder, again.folder, symlinks=True)
    for path in ((again.folder / "checkpoints" / "000004"), again.folder / "eval"):
        shutil.rmtree(path)
    (again.folder / "checkpoints" / "last").unlink()
    run_once(again)
    files = ["checkpoints/000004/policy/model.safetensors"]
    assert all((again.folder / name).read_bytes() == (run.folder / name).read_bytes() for name in files)
    scores = [read_kept(each.results)["episodes"] for each in (run, again)]
    assert scores[0] == scores[1]


def test_a_run_that_fails_is_told_and_stops_no_other(
    tiny_table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.paper.running import run_all

    good, bad = plan_of(tiny_table, tmp_path)  # without its dataset, a run fails at once
    good.results.mkdir(parents=True)
    (failure,) = run_all([good, bad], workers=1)
    assert failure.run is bad
    assert "FileNotFoundError" in str(failure)
    assert str(bad.log) in str(failure)
    assert not bad.results.exists()


def test_two_processes_never_work_on_one_run(tiny_table: ModuleType, tmp_path: Path) -> None:
    from astra.paper.one_run import locked

    (run,) = plan_of(tiny_table, tmp_path, rows=("astra",))
    with locked(run), pytest.raises(ValueError, match="another process works on astra, seed 0"), locked(run):
        pass
    with locked(run):
        pass


@pytest.mark.slow
def test_an_interrupted_comparison_stops_after_a_checkpoint(
    tiny_table: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.paper.running import plan_runs, run_all

    folders, table = folders_in(tmp_path), tiny_table.tiny()
    settings = tiny_table.settings()
    settings = replace(settings, training=replace(settings.training, updates=1_000_000, checkpoint_every=1_000_000))
    settings.demonstrations.ensure(folders.data)
    (run,) = plan_runs(table, "cpu", settings, [table.row("astra")], (0,), folders)

    def interrupt() -> None:
        while not (run.folder / "metrics.jsonl").exists():
            time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt, match="the same command continues from here"):
        run_all([run], workers=1)
    assert "1 of 1  astra, seed 0: stopped" in capsys.readouterr().out
    assert list((run.folder / "checkpoints").glob("[0-9]*"))
    assert not run.results.exists()


def test_absolute_folders_are_cut_to_their_last_name() -> None:
    from astra.paper.one_run import strip_folders

    text = {"command": "astra compare x --data /data/sets/y --folders.runs=/a/b", "told": ["left/right and/or", 3]}
    cut = {"command": "astra compare x --data y --folders.runs=b", "told": ["left/right and/or", 3]}
    assert strip_folders(text) == cut


def test_the_best_checkpoint_is_measured_with_the_options_of_the_table(
    tiny_table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.environments.pusht.suite import SUITE
    from astra.paper import one_run
    from astra.policies.decoding import Decoding

    (run,) = plan_of(tiny_table, tmp_path, rows=("astra",))
    policy = SimpleNamespace(spec=replace(SUITE.spec(SUITE.options()), suite="pusht"), decoding=Decoding())
    loaded, measured = list[Path](), dict[str, Any]()

    def load(path: Path) -> SimpleNamespace:
        loaded.append(path)
        return policy

    monkeypatch.setattr(one_run, "run_training", lambda *_, **__: None)
    monkeypatch.setattr(one_run, "best_checkpoint", lambda folder: folder / "the best one")
    monkeypatch.setattr(one_run, "load_policy", load)
    monkeypatch.setattr(one_run, "evaluate_suite", lambda *_, **named: measured.update(named))
    monkeypatch.setattr(one_run, "measure_held_out", lambda *_: None)
    monkeypatch.setattr(one_run, "keep_results", lambda _: None)
    one_run.run_once(run)
    assert loaded == [run.folder / "the best one"]
    assert measured["options"].max_timesteps == 3
