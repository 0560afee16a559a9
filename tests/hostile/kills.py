"""Kills at random instants of training, collecting, converting and comparing, and what is left after them.

One case is one kill of a command and the repeats of it: the first is killed, the last is left to end. A training is
killed several times in a row, and every kill counts as a case of its own that goes on with what the others left.
"""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.hostile.commands import TINY
from tests.hostile.isolation import Case, tell
from tests.hostile.processes import Killed, run_and_kill
from tests.hostile.runs import policy_of, progress_of
from tests.hostile.verdicts import ACCEPTED, Outcome

LENGTH = (
    *("--training.updates", "24", "--training.checkpoint-every", "3", "--training.validation-every", "6"),
    *("--training.keep-checkpoints", "1"),
)
KINDS = ("train", "train", "train", "convert zarr", "train", "train", "convert lerobot", "train", "collect", "compare")
"""Commands in turn."""
SIGNALS = (*(signal.SIGKILL,) * 3, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}


def prepare(folder: Path) -> Outcome:
    """Run every command once without a kill, and record how long it takes and what it makes."""
    from tests.cli.test_pipeline import write_demonstrations
    from tests.paper import tiny_table

    write_demonstrations(folder / "data")
    tiny_table.write_demonstrations(folder / "tables" / "tiny")
    _write_store(folder / "store")
    durations = {}
    for kind in dict.fromkeys(KINDS):
        place = folder / kind
        for part in ("cache", "temporary", "here"):
            (place / part).mkdir(parents=True)
        ended = run_and_kill(_arguments(kind, folder, place), place, None, before=_before(kind))
        if ended.code:
            raise RuntimeError(f"{kind}: exit {ended.code}, {ended.log}")
        durations[kind] = ended.seconds
        (folder / f"{kind}.json").write_text(json.dumps(_made(kind, place)))
    (folder / "durations.json").write_text(json.dumps(durations))
    return Outcome(verdict=ACCEPTED)


def cases(prepared: Path, seed: int, count: int) -> list[Case]:
    """Return so many kills."""
    return [
        Case(
            name=KINDS[number % len(KINDS)],
            check=partial(_check, prepared, KINDS[number % len(KINDS)], f"{seed} kills {number}"),
            seconds=180.0,
        )
        for number in range(count)
    ]


def _check(prepared: Path, kind: str, seed: str, folder: Path) -> Outcome:
    """Kill a command at a random instant, look at what is left, and repeat the command to its end."""
    random = Random(seed)
    delay = random.uniform(0, 1.05) * json.loads((prepared / "durations.json").read_text())[kind]
    number = random.choice(SIGNALS)
    tell(folder, f"{number.name} after {delay:.2f} s")
    arguments = _arguments(kind, prepared, folder)
    killed = run_and_kill(arguments, folder, delay, number, _before(kind))
    for fault in (_of_process(killed, number), _of_files(kind, folder, killed)):
        if fault is not None:
            return fault
    if kind == "collect" and killed.code in (130, 143) and (folder / "out").exists():
        shutil.rmtree(folder / "out")  # the episodes that were complete, looked at above
    if kind in ("train", "compare") or not (folder / "out").exists():  # a whole dataset may be there at a late kill
        repeated = run_and_kill(arguments, folder, None, before=_before(kind))
        if repeated.code or "Traceback" in repeated.log:
            return Outcome(verdict="lost", detail=f"the repeat: exit {repeated.code}, {repeated.log[-1200:]}")
    expected = json.loads((prepared / f"{kind}.json").read_text())
    if (made := _made(kind, folder)) != expected:
        return Outcome(verdict="not equal", detail=f"{_shown(expected, made)}; exit {killed.code}")
    if left := _leftovers(folder):
        return Outcome(verdict="leftover", detail=", ".join(left))
    return Outcome(verdict=ACCEPTED, detail="" if killed.code else "it had ended before")


def _of_process(killed: Killed, number: signal.Signals) -> Outcome | None:
    """Return a fault in how the processes ended."""
    if killed.orphans:
        return Outcome(verdict="orphan", detail=f"{', '.join(killed.orphans)}: {killed.log[-800:]}")
    if killed.code == -signal.SIGALRM:
        return Outcome(verdict="hang", detail=killed.log[-1200:])
    early = (-number,)  # a signal that comes before Astra's own handlers are there
    if killed.code not in (0, CODES[number], *early) or "Traceback" in killed.log:
        return Outcome(verdict="traceback", detail=f"exit {killed.code}, {killed.log[-1500:]}")
    return None


def _of_files(kind: str, folder: Path, killed: Killed) -> Outcome | None:
    """Return a fault in what the killed command left: everything in its place must be whole."""
    try:
        if kind == "train":
            for checkpoint in (folder / "out" / "checkpoints").glob("[0-9]*"):
                policy_of(checkpoint)
                if checkpoint.stat().st_mode & 0o777 == 0o700:
                    return Outcome(verdict="lost", detail=f"{checkpoint} has the mode of a temporary folder")
        elif kind != "compare" and (folder / "out").exists():
            _made(kind, folder)
    except Exception as error:
        return Outcome(verdict="lost", detail=f"{error!r} after exit {killed.code}: {killed.log[-800:]}")
    return None


def _arguments(kind: str, prepared: Path, folder: Path) -> list[str]:
    """Return the command line of a kind; its repeat is the same."""
    out, data = str(folder / "out"), str(prepared / "data")
    if kind == "train":
        return ["train", "own-data", "--dataset", data, "--output", out, "--resume", *TINY, *LENGTH]
    if kind == "convert zarr":
        return ["convert", "pusht-zarr", str(prepared / "store"), out, "--mirror", "--goal", "center"]
    if kind == "convert lerobot":
        return ["convert", "lerobot", *[data] * 6, "--output", out]
    if kind == "collect":
        return ["collect", "tabletop", "--episodes", "6", "--workers", "2", "--seed", "3", "--output", out]
    folders = ["--data", str(prepared / "tables"), "--runs", out, "--results", str(folder / "results")]
    return ["compare", "tiny", "--seeds", "0", "--rows", "astra", "--workers", "1", *folders]


def _before(kind: str) -> Callable[[], None] | None:
    return _add_table if kind == "compare" else None


def _add_table() -> None:
    """Add a table of tiny rows to those of the paper."""
    from astra.lazy_function import LazyFunction
    from astra.paper import TABLES

    tables: Any = TABLES
    tables["tiny"] = LazyFunction("tests.paper.tiny_table", "tiny")


def _made(kind: str, folder: Path) -> Any:
    """Return what a command has made, in a form that is equal for equal results."""
    if kind == "train":
        return progress_of(folder / "out")
    if kind == "compare":
        names = ("eval_info.json", "episodes.json.gz")
        found = sorted(path for path in (folder / "results").rglob("*") if path.name in names)
        return {str(path.relative_to(folder)): _results(path) for path in found}
    from tests.hostile.datasets import contents

    return contents(folder / "out")


def _results(path: Path) -> str:
    if path.suffix == ".gz":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    info = json.loads(path.read_text())
    return json.dumps(info["overall"].get("intervals"))


def _leftovers(folder: Path) -> list[str]:
    """Return hidden files and folders, but the locks that stay beside a run."""
    hidden = [path for path in folder.rglob(".*") if "cache" not in path.parts and "temporary" not in path.parts]
    return [str(path.relative_to(folder)) for path in hidden if path.name != ".lock"]


def _shown(expected: Any, made: Any) -> str:
    different = [name for name in expected if made.get(name) != expected[name]]
    return ", ".join(f"{name}: {expected[name]!s:.250} became {made.get(name)!s:.250}" for name in different)


def _write_store(folder: Path) -> None:
    """Write demonstrations as Diffusion Policy stores them."""
    import zarr

    random = np.random.default_rng(0)
    arrays = {
        "data/state": random.uniform(100, 400, (600, 5)).astype(np.float32),
        "data/action": random.uniform(0, 512, (600, 2)).astype(np.float32),
        "meta/episode_ends": np.arange(10, 601, 10),
    }
    zarr.open_group(folder, mode="w", zarr_format=2).create_group("data")
    for name, values in arrays.items():
        array = zarr.create_array(folder / name, shape=values.shape, dtype=values.dtype, zarr_format=2)
        array[:] = values
