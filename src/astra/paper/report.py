"""A table filled with results: every number with its interval, its difference to another row, and the paper's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from astra.evaluation.statistics import (
    SeedDifference,
    detectable_difference,
    difference_by_seed,
    mean_by_seed,
    nested_bootstrap,
    paired_difference,
    row_mean,
)
from astra.evaluation.success import Estimate, mean_interval
from astra.paper.row_results import RowResults, check_same_episodes, read_row, seed_folders
from astra.paper.table import BETWEEN, RECOVERY, Column, Row, Scale, Table, folder_of_runs, obstacle
from astra.storage.metrics_file import read_metrics_lines
from astra.training.run_folder import read_config

LOSSES_DIFFER = ("actions", "chunk_size", "chunk_sample")
"""Fields of a policy that change what its loss is a mean of: nats or squared distances, one action or several."""


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
    detectable: float | None
    """Smallest true difference, in the same unit, that these seeds and episodes show four times out of five."""
    over_seeds: SeedDifference | None
    """The difference with Student's interval over training seeds, by which questions are decided; None: fewer than two
    seeds."""
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


@dataclass(frozen=True, kw_only=True)
class Training:
    """Summary of the finished trainings of a row."""

    minutes: float
    """Minutes of a run, the median over seeds: a seed on a shared core moves it little."""
    losses: Mapping[int, float]
    """Loss on held-out demonstrations at the end of training, by training seed."""
    held_out_accuracy: float
    """Share of action dimensions predicted right on them, mean over seeds; NaN for continuous diffusion."""
    machines: tuple[str, ...]
    """Machines that trained the row, as far as the runs recorded them."""

    @property
    def held_out_loss(self) -> float:
        """Mean held-out loss over seeds."""
        return float(np.mean(list(self.losses.values())))


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

    def loss_difference(self, row: Row) -> SeedDifference | None:
        """Return the difference of a row's held-out loss to its baseline, by seed; None: it cannot be told."""
        baseline = self.table.baseline_of(row, self.scale)
        trained = {each.key: training for each, training in zip(self.table.rows, self.trainings, strict=True)}
        mine, theirs = trained[row.key], trained[baseline.key] if baseline else None
        if mine is None or theirs is None or baseline is None or row.own_loss or baseline.own_loss:
            return None
        settings = self.table.settings[self.scale]() if self.scale in self.table.settings else None
        if settings is not None and settings.training.keep_best is not None:  # another checkpoint was measured
            return None
        changes = row.policy_changes, baseline.policy_changes
        if any(changes[0].get(name) != changes[1].get(name) for name in LOSSES_DIFFER):
            return None
        both = [seed for seed in mine.losses if seed in theirs.losses]
        if len(both) < 2:
            return None
        ours, other = (np.array([each.losses[seed] for seed in both]) for each in (mine, theirs))
        return difference_by_seed(ours, other)

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
    rows = {row.key: read_row(folders[row.key], row.agent) for row in table.rows}
    found = {key: results for key, results in rows.items() if results is not None}
    check_same_episodes(found)
    cells = tuple(
        tuple(_cell(table, scale, row, place, found) for place in range(len(table.columns))) for row in table.rows
    )
    trainings = tuple(None if row.runs_of else read_training(folders[row.key]) for row in table.rows)
    return Report(table=table, scale=scale, folder=folder, cells=cells, trainings=trainings)


def _cell(table: Table, scale: Scale, row: Row, place: int, found: dict[str, RowResults]) -> Cell:
    column, baseline = table.columns[place], table.baseline_of(row, scale)
    empty = Cell(
        row=row,
        column=column,
        ours=None,
        difference=None,
        detectable=None,
        over_seeds=None,
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
    if column.score in (RECOVERY, BETWEEN):
        return _of_some_episodes(empty, mine)
    values, tasks = mine.values(column, mine.seeds), mine.tasks(column)
    if not values.size:
        return empty
    difference = detectable = over_seeds = None
    theirs = found.get(baseline.key) if baseline else None
    both = [seed for seed in mine.seeds if theirs and seed in theirs.seeds]
    if theirs and both:
        pair = mine.values(column, both), theirs.values(column, both)
        over_seeds = difference_by_seed(*(each.mean(axis=1) for each in pair)) if len(both) > 1 else None
        if column.held_out and over_seeds:
            difference, detectable = over_seeds.estimate, over_seeds.detectable or None
        else:
            difference = paired_difference(*pair, tasks)
            same = difference.low == difference.high
            detectable = None if same else detectable_difference(*pair, tasks)
    return replace(
        empty,
        ours=_estimate(values, tasks, column),
        difference=difference,
        detectable=detectable,
        over_seeds=over_seeds,
        paired=len(both),
        seeds=mine.seeds,
        episodes=values.shape[1],
        by_seed=tuple(values.mean(axis=1).tolist()),
    )


def _of_some_episodes(empty: Cell, mine: RowResults) -> Cell:
    """Return a mean over episodes with a miss or several attempts; rows and seeds have different ones: no pairs."""
    column = empty.column
    numbers = mine.recovered if column.score == RECOVERY else mine.gaps
    by_seed = {seed: np.array(found) for seed in mine.seeds if (found := numbers(column, seed))}
    if not by_seed:
        return empty
    values = list(by_seed.values())
    ours = nested_bootstrap(values) if len(values) > 1 else mean_interval(values[0].tolist())
    episodes = sum(len(each) for each in values)
    return replace(empty, ours=_scaled(ours, column.scale), seeds=tuple(by_seed), episodes=episodes)


def _estimate(values: Float[np.ndarray, "K E"], tasks: Sequence[str], column: Column) -> Estimate:
    """Return the mean of a row; losses have episodes of their own in each seed, so seeds alone vary there."""
    if column.held_out:
        return mean_by_seed(values.mean(axis=1)) if len(values) > 1 else row_mean(values, tasks)
    return _scaled(row_mean(values / column.scale, tasks), column.scale)


def _scaled(estimate: Estimate, scale: float) -> Estimate:
    return replace(estimate, value=scale * estimate.value, low=scale * estimate.low, high=scale * estimate.high)


def read_training(folder: Path) -> Training | None:
    """Read how the finished runs of a row were trained; None: there are none."""
    minutes, losses, accuracies, machines = list[float](), dict[int, float](), list[float](), list[str]()
    for run in seed_folders(folder):
        if not (path := run / "metrics.jsonl").exists():
            continue
        lines = read_metrics_lines(path)
        validated = next((line for line in reversed(lines) if "validation/loss" in line), {})
        minutes.append(lines[-1]["minutes"])
        losses[int(run.name)] = validated.get("validation/loss", math.nan)
        accuracies.append(validated.get("validation/action_accuracy", math.nan))
        machines += read_config(run).get("machines", [])
    if not minutes:
        return None
    return Training(
        minutes=float(np.median(minutes)),
        losses=losses,
        held_out_accuracy=float(np.mean(accuracies)),
        machines=tuple(dict.fromkeys(machines)),
    )
