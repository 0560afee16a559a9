"""A table filled with results: every number with its interval, its difference to another row, and the paper's."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from astra.evaluation.statistics import paired_difference, row_mean, smallest_detectable
from astra.evaluation.success import Estimate, wilson_interval
from astra.paper.row_results import RowResults, check_same_episodes, read_row
from astra.paper.table import RECOVERY, Column, Row, Scale, Table, folder_of_runs, obstacle


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Numbers of one row in one column."""

    row: Row
    column: Column
    ours: Estimate | None
    """Our number, in percent or nats; None: not measured."""
    difference: Estimate | None
    """Difference to the baseline row in percentage points or nats, over the seeds that both rows have; None: not
    measured."""
    baseline: str
    """Name of the baseline row; empty: none."""
    paired: int
    """Number of seeds that both rows have."""
    seeds: tuple[int, ...]
    """Training seeds of the row."""
    episodes: int
    """Episodes of each seed."""
    by_seed: tuple[float, ...]
    """Mean of each seed, in the same unit; empty where episodes differ between seeds."""
    paper: float | None
    """Number in the paper; None: the paper has none."""

    @property
    def detectable(self) -> float | None:
        """Smallest true difference to the baseline that these seeds and episodes would probably have shown.

        None where nothing is compared, or nothing varies.
        """
        if self.difference is None or self.difference.low == self.difference.high:
            return None
        return smallest_detectable(self.difference)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Summary of the finished trainings of a row."""

    minutes: float
    """Minutes of a run, the median over seeds: a seed on a shared core moves it little."""
    held_out_loss: float
    """Loss on held-out demonstrations at the end of training, mean over seeds."""
    held_out_accuracy: float
    """Share of action dimensions predicted right on them, mean over seeds; NaN for actions without bins."""
    machines: tuple[str, ...]
    """Machines that trained the row, as far as the runs recorded them."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A table with its results."""

    table: Table
    scale: Scale
    folder: Path
    """Folder of the table's results, where its text and pictures are written too."""
    cells: tuple[tuple[Cell, ...], ...]
    """Cells by row, then by column."""
    trainings: tuple[Training | None, ...]
    """Trainings by row; None: no run of the row is finished."""

    @property
    def measured(self) -> bool:
        """Whether there is any result."""
        return any(cell.ours is not None for row in self.cells for cell in row)

    @property
    def machines(self) -> tuple[str, ...]:
        """Machines that trained rows, as far as the runs recorded them; minutes on different ones do not compare."""
        recorded = (name for training in self.trainings if training for name in training.machines)
        return tuple(dict.fromkeys(recorded))

    def folder_of(self, row: Row) -> Path:
        """Return the folder of a row's finished runs."""
        return folder_of_runs(self.table, row, self.folder)

    def why_empty(self, row: Row) -> str:
        """Return the reason why a row has no number of ours."""
        return obstacle(row, self.scale) or "not run yet"


def make_report(table: Table, scale: Scale, folder: Path) -> Report:
    """Fill a table from the files in its folder of results.

    Raises:
        ValueError: if a file is damaged, or runs were evaluated on different episodes.
    """
    folders = {row.key: folder_of_runs(table, row, folder) for row in table.rows}
    found = {key: results for key, each in folders.items() if (results := read_row(each)) is not None}
    check_same_episodes(found)
    cells = tuple(tuple(_cell(table, row, place, found) for place in range(len(table.columns))) for row in table.rows)
    trainings = tuple(read_training(folders[row.key]) for row in table.rows)
    return Report(table=table, scale=scale, folder=folder, cells=cells, trainings=trainings)


def _cell(table: Table, row: Row, place: int, found: dict[str, RowResults]) -> Cell:
    column, baseline = table.columns[place], table.baseline_of(row)
    empty = Cell(
        row=row,
        column=column,
        ours=None,
        difference=None,
        baseline=baseline.name if baseline else "",
        paired=0,
        seeds=(),
        episodes=0,
        by_seed=(),
        paper=row.paper[place] if place < len(row.paper) else None,
    )
    mine = found.get(row.key)
    if mine is None:
        return empty
    if column.score == RECOVERY:
        return _recovery(empty, mine)
    values, tasks = mine.values(column, mine.seeds), mine.tasks(column)
    if not values.size:
        return empty
    difference = None
    theirs = found.get(baseline.key) if baseline else None
    both = [seed for seed in mine.seeds if theirs and seed in theirs.seeds]
    if theirs and both:
        difference = paired_difference(mine.values(column, both), theirs.values(column, both), tasks)
    return replace(
        empty,
        ours=_estimate(values, tasks, column),
        difference=difference,
        paired=len(both),
        seeds=mine.seeds,
        episodes=values.shape[1],
        by_seed=tuple(values.mean(axis=1).tolist()),
    )


def _recovery(empty: Cell, mine: RowResults) -> Cell:
    """Return the success in all episodes with a miss; rows and seeds miss in different ones, so nothing is paired."""
    if not (recovered := mine.recovered(empty.column)):
        return empty
    ours = wilson_interval(sum(recovered), len(recovered))
    return replace(empty, ours=_in_percent(ours), seeds=mine.seeds, episodes=len(recovered))


def _estimate(values: Float[np.ndarray, "K E"], tasks: Sequence[str], column: Column) -> Estimate:
    if column.held_out:
        return row_mean(values, tasks, share=False)
    return _in_percent(row_mean(values / 100, tasks, share=column.score == "success"))


def _in_percent(estimate: Estimate) -> Estimate:
    return replace(estimate, value=100 * estimate.value, low=100 * estimate.low, high=100 * estimate.high)


def read_training(folder: Path) -> Training | None:
    """Read how the finished runs of a row were trained; None: there are none."""
    ends, machines = [], list[str]()
    for path in sorted(folder.glob("[0-9]*/metrics.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        validated = next((line for line in reversed(lines) if "validation/loss" in line), {})
        held_out = (validated.get(f"validation/{name}", math.nan) for name in ("loss", "action_accuracy"))
        ends.append((lines[-1]["minutes"], *held_out))
        machines += json.loads(path.with_name("config.json").read_text()).get("machines", [])
    if not ends:
        return None
    minutes, loss, accuracy = np.array(ends, np.float64).T
    return Training(
        minutes=float(np.median(minutes)),
        held_out_loss=float(loss.mean()),
        held_out_accuracy=float(accuracy.mean()),
        machines=tuple(dict.fromkeys(machines)),
    )
