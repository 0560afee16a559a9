"""The runs of a table, several at once, each in a process of its own; what is finished is never run again.

A run that fails is told at the end and stops no other. Ctrl-C or SIGTERM lets every run write a checkpoint; the same
command goes on from there.
"""

import json
import multiprocessing
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from astra.paper.one_run import Run, in_own_process
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
from astra.parallel.pool import one_thread_each
from astra.training.interruption import Interruption

Equal = Literal["updates", "time"]
"""What all rows get the same of."""

WITHOUT_END = 1_000_000_000
"""Updates of a run that its minutes end."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where things lie."""

    data: Path = Path("data")
    """Folder of datasets."""
    runs: Path = Path("runs/compare")
    """Folder of trainings: large, and may be lost."""
    results: Path = Path("results")
    """Folder of small files, which are kept."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that did not end well."""

    run: Run
    code: int
    message: str

    def __str__(self) -> str:
        """Write what happened and where to read on."""
        return f"{self.run.name}: exit code {self.code}, {self.message} (all of it in {self.run.log})"


def name_of(table: Table, scale: Scale, equal: Equal) -> str:
    """Name a table at a scale, as its folders are called."""
    return f"{table.name}-{scale}" + (EQUAL_TIME if equal == "time" else "")


def chosen_rows(table: Table, scale: Scale, keys: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """Give the rows to run, and for the others why not.

    Raises:
        ValueError: if a row that was asked for does not exist or cannot be run, or none can.
    """
    rows = [table.row(key) for key in keys] or list(table.rows)
    obstacles = {row.key: reason for row in rows if (reason := obstacle(row, scale))}
    if keys and obstacles:
        raise ValueError("; ".join(f"the row {key} cannot be run: it {reason}" for key, reason in obstacles.items()))
    runnable = [row for row in rows if row.key not in obstacles]
    if not runnable:
        raise ValueError(f"no row of {table.name} can be run at {scale} scale")
    return runnable, obstacles


def plan(
    table: Table,
    scale: Scale,
    settings: Settings,
    rows: Sequence[Row],
    seeds: Sequence[int],
    folders: Folders,
    equal: Equal = "updates",
) -> list[Run]:
    """Lay out the runs, all rows of the first seed before the second one, so that a part is a comparison already.

    Raises:
        ValueError: if a finished run was made by other settings.
    """
    budgets = {row.key: budget_of(table, row, settings, equal) for row in rows}
    name = name_of(table, scale, equal)
    runs = [
        Run(
            table=name,
            row=row.key,
            seed=seed,
            experiment=experiment_of(row, scale, budgets[row.key], seed, folders.data),
            evaluation=settings.evaluation,
            options=settings.options,
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


def budget_of(table: Table, row: Row, settings: Settings, equal: Equal) -> Settings:
    """Give the settings of a table with the updates or minutes that a row gets."""
    training = settings.training
    if equal == "time":
        if table.knows_costs:
            training = replace(training, updates=round(training.updates / row.cost))
        else:
            training = replace(training, updates=WITHOUT_END, max_minutes=settings.minutes)
    return replace(settings, training=training)


def run_all(runs: Sequence[Run], workers: int) -> list[Failure]:
    """Carry out what is not finished, so many at once; give the runs that failed.

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
                process = context.Process(target=in_own_process, args=(run,), name=run.name)
                process.start()
                working[process] = run, progress.add_task(run.name, total=1.0)
            if interruption.requested and not stopping:
                stopping = True  # once: a second signal would kill it before its checkpoint is whole
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
                progress.console.print(f"{ended} of {total}  {run.name}: {outcome}", highlight=False)
        if interruption.requested:
            raise KeyboardInterrupt("interrupted; the same command goes on from here")
    return failures


def _progress() -> Progress:
    console = Console()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _share(run: Run) -> float:
    """Tell how much of a training is over, from the last line of its metrics."""
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
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing in its log")


def expected_hours(runs: Sequence[Run], settings: Settings, minutes: dict[str, float]) -> float:
    """Give the core-hours that are still to come, from the minutes that a run of each row takes."""
    left = [run for run in runs if not run.finished]
    return sum(minutes[run.row] + settings.measuring_minutes for run in left) / 60


def collect(settings: Settings, folders: Folders) -> None:
    """Make the dataset of a table if it is missing.

    Raises:
        FileNotFoundError: if something must be downloaded first.
        ValueError: if what it needs is not installed.
    """
    folder = folders.data / settings.demonstrations.name
    if folder.exists():
        return
    if settings.demonstrations.collect is None:
        raise FileNotFoundError(
            f"{folder} is missing: {settings.demonstrations.needs}, then run: {settings.demonstrations.command}"
        )
    print(f"{folder} is missing, and made now: {settings.demonstrations.command}")
    started = time.monotonic()
    settings.demonstrations.collect(folder)
    print(f"{folder}: {(time.monotonic() - started) / 60:.1f} minutes")
