"""Results -> a table: every number with its interval, its difference to another row, and the paper's."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from astra.evaluation.success import Estimate
from astra.paper.measured import Measured, check_same_episodes, read_row
from astra.paper.statistics import paired_difference, row_mean
from astra.paper.table import Column, Row, Scale, Table, folder_of_runs, obstacle


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One row's number for one column."""

    row: Row
    column: Column
    ours: Estimate | None
    """In percent; None: not measured."""
    difference: Estimate | None
    """To the row named in `against`, in points, over the seeds that both have."""
    against: str
    """Name of that row; empty: none."""
    paired: int
    """Seeds that both have."""
    seeds: tuple[int, ...]
    episodes: int
    """Of each seed."""
    by_seed: tuple[float, ...]
    """Mean of each seed, in percent."""
    paper: float | None


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the finished trainings of a row came to, on average."""

    minutes: float
    """The median, which a seed whose core was shared moves little."""
    held_out_loss: float
    """On held-out demonstrations, at the end."""
    held_out_accuracy: float
    """Share of action dimensions predicted right there, at the end; NaN where actions have no bins."""
    machines: tuple[str, ...]
    """Those that worked on them, as far as the runs tell."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A table, filled in."""

    table: Table
    scale: Scale
    folder: Path
    """Of the results, and of what is made of them."""
    cells: tuple[tuple[Cell, ...], ...]
    """By row, then by column."""
    trainings: tuple[Training | None, ...]
    """How each row's finished runs were trained, by row."""

    @property
    def measured(self) -> bool:
        """Whether there are results at all."""
        return any(cell.ours is not None for row in self.cells for cell in row)

    @property
    def machines(self) -> tuple[str, ...]:
        """Those on which rows were trained, as far as the runs tell; the minutes of different ones do not compare."""
        told = (name for training in self.trainings if training for name in training.machines)
        return tuple(dict.fromkeys(told))

    def folder_of(self, row: Row) -> Path:
        """Give the folder of a row's finished runs."""
        return folder_of_runs(self.table, row, self.folder)

    def why_not(self, row: Row) -> str:
        """Say why a row has no number of ours."""
        return obstacle(row, self.scale) or "not run yet"


def make_report(table: Table, scale: Scale, folder: Path) -> Report:
    """Fill a table from the small files in its folder of results.

    Raises:
        ValueError: if a file is damaged, or the runs did not play the same episodes.
    """
    folders = {row.key: folder_of_runs(table, row, folder) for row in table.rows}
    found = {key: measured for key, each in folders.items() if (measured := read_row(each)) is not None}
    check_same_episodes(found)
    cells = tuple(tuple(_cell(table, row, place, found) for place in range(len(table.columns))) for row in table.rows)
    trainings = tuple(read_training(folders[row.key]) for row in table.rows)
    return Report(table=table, scale=scale, folder=folder, cells=cells, trainings=trainings)


def _cell(table: Table, row: Row, place: int, found: dict[str, Measured]) -> Cell:
    column, other = table.columns[place], table.against(row)
    empty = Cell(
        row=row,
        column=column,
        ours=None,
        difference=None,
        against=other.name if other else "",
        paired=0,
        seeds=(),
        episodes=0,
        by_seed=(),
        paper=row.paper[place] if place < len(row.paper) else None,
    )
    mine = found.get(row.key)
    if mine is None:
        return empty
    values, strata = mine.values(column, mine.seeds), mine.strata(column)
    if not values.size:
        return empty
    difference = None
    theirs = found.get(other.key) if other else None
    both = [seed for seed in mine.seeds if theirs and seed in theirs.seeds]
    if theirs and both:
        difference = paired_difference(mine.values(column, both), theirs.values(column, both), strata)
    return replace(
        empty,
        ours=_in_percent(values, strata, share=column.score == "success"),
        difference=difference,
        paired=len(both),
        seeds=mine.seeds,
        episodes=values.shape[1],
        by_seed=tuple(values.mean(axis=1).tolist()),
    )


def _in_percent(values: Float[np.ndarray, "K E"], strata: Sequence[str], *, share: bool) -> Estimate:
    estimate = row_mean(values / 100, strata, share=share)
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
