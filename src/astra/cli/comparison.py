"""Options of `astra compare`, the plan of its runs, and the files that it writes."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from astra.evaluation.pictures.style import write_figure
from astra.paper.figures import result_bars, training_curves
from astra.paper.one_run import Run
from astra.paper.rendering import print_report, write_texts
from astra.paper.report import Report, make_report, read_training
from astra.paper.running import (
    Equal,
    Folders,
    check_suite,
    expected_hours,
    folder_name,
    plan_runs,
    run_all,
    select_rows,
)
from astra.paper.table import Scale, Settings, Table, obstacle
from astra.screen import screen
from astra.storage.numbers import Seed, Workers, check_numbers
from astra.storage.places import check_writable


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Train and evaluate every row of a table with the same budget, and print it beside the paper's numbers."""

    scale: Scale = "cpu"
    """cpu: small policies, in the tabletop instead of VIMA-Bench; paper: the paper's sizes and settings."""
    seeds: tuple[Seed, ...] = (0, 1, 2)
    """Training seeds of every row."""
    rows: tuple[str, ...] = ()
    """Rows to run, by their names in the plan; empty: all rows that can be run."""
    equal: Equal = "updates"
    """Budget that is equal for all rows: updates, or training time."""
    workers: Workers = os.cpu_count() or 1
    """Number of runs at once, each a process with one thread."""
    dry_run: bool = False
    """Print the plan and the expected hours, and run nothing."""
    only_report: bool = False
    """Write table and pictures from existing results, and run nothing."""
    folders: Annotated[Folders, tyro.conf.arg(name="")] = field(default_factory=Folders)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names its flag.
        """
        check_numbers(self, "")
        if not self.seeds:
            raise ValueError("--seeds must be one or more numbers from 0, got none")


def compare(table: Table, chosen: Compare) -> None:
    """Run the unfinished runs of a table, then print and write the table.

    Raises:
        FileNotFoundError: if demonstrations must be downloaded first.
        ValueError: if a seed or a row is named twice, a row or the scale cannot be run, results were made with other
            settings, or runs failed.
    """
    for flag, values in (("--seeds", chosen.seeds), ("--rows", chosen.rows)):
        if twice := [value for value, number in Counter(values).items() if number > 1]:
            raise ValueError(f"{flag} names {twice[0]} twice: name it once")
    failures = []
    if not chosen.only_report:
        settings = table.settings_at(chosen.scale)
        rows, obstacles = select_rows(table, chosen.scale, chosen.rows)
        runs = plan_runs(table, chosen.scale, settings, rows, chosen.seeds, chosen.folders, chosen.equal)
        print_plan(table, settings, runs, obstacles, chosen)
        if chosen.dry_run:
            return
        if not all(each.finished for each in runs):
            for place in (chosen.folders.runs, chosen.folders.results):
                check_writable(place)
            settings.demonstrations.ensure(chosen.folders.data)
            check_suite(settings)
            failures = run_all(runs, chosen.workers)
    folder = chosen.folders.results / folder_name(table, chosen.scale, chosen.equal)
    report = make_report(table, chosen.scale, folder)
    print_report(report)
    if report.measured:
        written = write_texts(report, command_of(report, chosen.equal))
        written.append(write_figure(result_bars(report), folder / "table.png"))
        written.append(write_figure(training_curves(report), folder / "training.png"))
        written.append(write_figure(training_curves(report, "validation"), folder / "held-out.png"))
        print("\n".join(f"written: {path}" for path in written))
    if failures:
        raise ValueError("\n".join([f"{len(failures)} runs failed; the others are kept:", *map(str, failures)]))


def command_of(report: Report, equal: Equal) -> str:
    """Return the commands that make everything in a report, one for all rows with the same training seeds.

    Folders of this machine are left out.
    """
    options = ["--scale", report.scale] if report.scale != "cpu" else []
    options += ["--equal", equal] if equal != "updates" else []
    runnable = [row[0].row for row in report.cells if not obstacle(row[0].row, report.scale)]
    rows = dict[tuple[int, ...], list[str]]()
    for row in report.cells:
        seeds = max((cell.seeds for cell in row), key=len)
        if seeds and row[0].row in runnable:
            rows.setdefault(seeds, []).append(row[0].row.key)
    lines = []
    for seeds, keys in rows.items():
        chosen = [] if len(keys) == len(runnable) else ["--rows", *keys]
        lines.append(" ".join(["astra compare", report.table.name, *options, *chosen, "--seeds", *map(str, seeds)]))
    return "\n".join(lines)


def print_plan(
    table: Table, settings: Settings, runs: Sequence[Run], obstacles: dict[str, str], chosen: Compare
) -> None:
    """Print which runs are finished, which are left, which cannot be run, and the expected hours."""
    console = screen()
    seeds = list(dict.fromkeys(each.seed for each in runs))
    training, evaluation = settings.training, settings.evaluation
    budget = f"{training.updates} updates"
    if chosen.equal == "time":
        budget = f"the time of {budget}" if table.knows_costs else f"{settings.minutes:g} minutes"
    others = ", ".join(f"{number} at {level}" for level, number in evaluation.episodes_at.items())
    console.print(
        f"{settings.environment}: every run trains for {budget} of {training.batch_size} windows, and is "
        f"evaluated on {evaluation.episodes} episodes per task or goal{others and f' ({others})'} from seed "
        f"{evaluation.seed}"
    )
    console.print(f"demonstrations: {settings.demonstrations.command}", soft_wrap=True)
    shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("row", *(f"seed {seed}" for seed in seeds), "minutes per run"):
        shown.add_column(heading)
    trained = {each.row: read_training(each.results.parent) for each in runs}
    minutes = {row: training.minutes for row, training in trained.items() if training is not None}
    share = {row.key: row.cost if chosen.equal == "updates" else 1.0 for row in table.rows}
    expected = {row: minutes.get(row, settings.minutes * share[row]) for row in trained}
    for row in dict.fromkeys(each.row for each in runs):
        states = [_state(each) for each in runs if each.row == row]
        took = f"{minutes[row]:.1f} (measured)" if row in minutes else f"{expected[row]:.0f} (expected)"
        shown.add_row(row, *states, took)
    for row, reason in obstacles.items():
        shown.add_row(row, *("-" for _ in seeds), reason)
    console.print(shown)
    left = sum(not each.finished for each in runs)
    if not left:
        kept = chosen.folders.results / folder_name(table, chosen.scale, chosen.equal)
        console.print(
            f"nothing left to run: all results are in {kept}; use --results DIR to run it again into another folder"
        )
        return
    hours = expected_hours(runs, settings, expected)
    console.print(
        f"{left} of {len(runs)} runs left, about {hours:.1f} {settings.device}-hours, "
        f"{hours / chosen.workers:.1f} hours with {chosen.workers} workers"
    )


def _state(run: Run) -> str:
    if run.finished:
        return "finished"
    return "started" if (run.folder / "config.json").exists() else "to do"
