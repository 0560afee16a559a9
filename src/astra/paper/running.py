"""Running the rows of a table: several runs at once, each in its own process; finished runs are never run again.

A run that fails is reported at the end and does not stop the others. On Ctrl-C or SIGTERM every run writes a
checkpoint, and the same command continues from there.
"""

import json
import multiprocessing
import pickle
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from astra.environments.suite import find_suite
from astra.paper.one_run import Run, run_in_process
from astra.paper.table import (
    EQUAL_TIME,
    Row,
    Scale,
    Settings,
    Table,
    experiment_of,
    folder_of_runs,
    obstacle,
)
from astra.parallel.interruption import Interruption
from astra.parallel.parent import GRACE, run_watched
from astra.parallel.pool import one_thread_each
from astra.screen import screen

Equal = Literal["updates", "time"]
"""Budget that is equal for all rows."""

UNLIMITED_UPDATES = 1_000_000_000
"""Updates of a run that ends after a number of minutes."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Folders of a comparison."""

    data: Path = Path("data")
    """Folder of datasets."""
    runs: Path = Path("runs/compare")
    """Folder of trainings with their checkpoints: large, not needed once a run is finished."""
    results: Path = Path("results")
    """Folder of the small result files."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that ended with an error."""

    run: Run
    code: int
    """Exit code of its process."""
    message: str
    """Last line of its log."""

    def __str__(self) -> str:
        """Describe the error and name the log."""
        told = f"exit code {self.code}, {self.message}"
        if self.code < 0:
            told = f"ended by {signal.Signals(-self.code).name}"
            told += ", often for lack of memory: try fewer --workers" if self.code == -signal.SIGKILL else ""
        return f"{self.run.name}: {told} (full log: {self.run.log})"


def folder_name(table: Table, scale: Scale, equal: Equal) -> str:
    """Return the name of a table's folders at a scale."""
    parent = f"{table.parent}/" if table.parent else ""
    return parent + f"{table.name}-{scale}" + (EQUAL_TIME if equal == "time" else "")


def select_rows(table: Table, scale: Scale, keys: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """Return the rows to run, and for each other row the reason why it cannot be run.

    Raises:
        ValueError: if a requested row does not exist or cannot be run, or no row can.
    """
    rows = [table.row(key) for key in keys] or list(table.rows)
    obstacles = {row.key: reason for row in rows if (reason := obstacle(row, scale))}
    if keys and obstacles:
        raise ValueError("; ".join(f"the row {key} cannot be run: it {reason}" for key, reason in obstacles.items()))
    runnable = [row for row in rows if row.key not in obstacles]
    if not runnable:
        raise ValueError(f"no row of {table.name} can be run at {scale} scale")
    return runnable, obstacles


def plan_runs(
    table: Table,
    scale: Scale,
    settings: Settings,
    rows: Sequence[Row],
    seeds: Sequence[int],
    folders: Folders,
    equal: Equal = "updates",
) -> list[Run]:
    """Return the runs in order: all rows of one seed before the next seed, so that rows compare early.

    Raises:
        ValueError: if a finished run was made with other settings.
    """
    budgets = {row.key: row_settings(table, row, settings, equal) for row in rows}
    name = folder_name(table, scale, equal)
    runs = [
        Run(
            table=name,
            row=row.key,
            seed=seed,
            experiment=experiment_of(row, scale, budgets[row.key], seed, folders.data),
            evaluation=replace(settings.evaluation, agents=(*settings.evaluation.agents, *table.agents_in(row, seed))),
            options=settings.options,
            held_out=any(column.held_out for column in table.columns),
            folder=folder_of_runs(table, row, folders.runs / name) / str(seed),
            results=folder_of_runs(table, row, folders.results / name) / str(seed),
        )
        for seed in seeds
        for row in rows
    ]
    for run in runs:
        if run.finished:
            run.check_results()
    return runs


def row_settings(table: Table, row: Row, settings: Settings, equal: Equal) -> Settings:
    """Return the settings of a table with the updates or minutes of one row."""
    training = settings.training
    if equal == "time":
        if table.knows_costs:
            training = replace(training, updates=round(training.updates / row.cost))
        else:
            training = replace(training, updates=UNLIMITED_UPDATES, max_minutes=settings.minutes)
    return replace(settings, training=training)


def run_all(runs: Sequence[Run], workers: int) -> list[Failure]:
    """Run what is not finished, `workers` runs at once, and return the failures.

    Raises:
        ValueError: if there are no workers.
        KeyboardInterrupt: after SIGINT or SIGTERM, when every run has stopped.
    """
    if workers < 1:
        raise ValueError(f"running needs at least one worker, got {workers}")
    waiting, failures = deque(run for run in runs if not run.finished), list[Failure]()
    total, ended, stopping = len(waiting), 0, False
    context = multiprocessing.get_context("spawn")  # fork would copy the locks of torch's threads
    working: dict[Any, tuple[Run, TaskID]] = {}
    with Interruption() as interruption, _progress() as progress, one_thread_each():
        while working or (waiting and not interruption.requested):
            while waiting and len(working) < workers and not interruption.requested:
                run = waiting.popleft()
                work = pickle.dumps((run_in_process, (run,)))
                process = context.Process(target=run_watched, args=(work, GRACE), name=run.name)
                process.start()
                working[process] = run, progress.add_task(run.name, total=1.0)
            if interruption.requested and not stopping:
                stopping = True  # only once: a second signal would kill a run before its checkpoint is written
                for process in working:
                    process.terminate()
            wait([process.sentinel for process in working], timeout=1.0)
            for process, (run, bar) in list(working.items()):
                progress.update(bar, completed=_share(run))
                if process.exitcode is None:
                    continue
                process.join()
                del working[process]
                progress.remove_task(bar)
                ended += 1
                outcome = "finished" if not process.exitcode else "stopped" if interruption.requested else "FAILED"
                if outcome == "FAILED":
                    failures.append(Failure(run=run, code=process.exitcode or 0, message=_last_line(run.log)))
                progress.console.print(f"{ended} of {total}  {run.name}: {outcome}")
        if interruption.requested:
            raise interruption.error("interrupted; the same command continues from here")
    return failures


def _progress() -> Progress:
    console = screen()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _share(run: Run) -> float:
    """Return the finished share of a training, from the last line of its metrics."""
    try:
        with (run.folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 2000))
            last = json.loads(file.read().splitlines()[-1])
    except (OSError, IndexError, json.JSONDecodeError):
        return 0.0
    training = run.experiment.training
    shares = [last["update"] / training.updates]
    if training.max_minutes is not None:
        shares.append(last["minutes"] / training.max_minutes)
    return max(shares)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def expected_hours(runs: Sequence[Run], settings: Settings, minutes: dict[str, float]) -> float:
    """Return the device-hours of the unfinished runs, given the minutes of a training of each row."""
    left = [run for run in runs if not run.finished]
    return sum(minutes[run.row] + settings.evaluation_minutes * len(run.evaluation.agents) for run in left) / 60


def check_suite(settings: Settings) -> None:
    """Check that the table's simulator works, before hours of training.

    Raises:
        ValueError: if an extra that it needs is not installed; it says how to install it.
    """
    suite = find_suite(settings.suite)
    suite.spec(replace(suite.options(), **settings.options))
