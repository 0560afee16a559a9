"""A table filled with results: every number with its interval, its difference to another row, and the paper's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from astra.evaluation.statistics import (
    SeedDifference,
    detectable_difference,
    difference_by_seed,
    mean_by_seed,
    mean_of_some,
    paired_difference,
    row_mean,
)
from astra.evaluation.success import Estimate
from astra.paper.row_results import RowResults, check_same_episodes, read_row, seed_folders
from astra.paper.table import UNTRAINED, Column, Row, Scale, Table, folder_of_runs, obstacle
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
    ours_over_seeds: Estimate | None
    """Our number with Student's interval over training seeds; None: fewer than two seeds."""
    difference: Estimate | None
    """Difference to the baseline row in percentage points or nats, over the seeds that both rows have; None: not
    measured."""
    detectable: float | None
    """Smallest true difference, in the same unit, that these seeds and episodes show four times out of five; None: it
    cannot be told, as from one seed, whose episodes say nothing about another training."""
    over_seeds: SeedDifference | None
    """The difference with Student's interval over training seeds; None: fewer than two seeds."""
    equal: bool
    """Whether both rows have equal numbers in all episodes."""
    baseline: str
    """Name of the baseline row; empty: none."""
    paired: tuple[int, ...]
    """Training seeds of the difference: those that both rows have; those of the baseline for an expert."""
    seeds: tuple[int, ...]
    """Training seeds of the row."""
    episodes: int
    """Episodes of each seed; of all seeds together where only some episodes count."""
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
        ValueError: if a file is damaged or missing, or runs were evaluated on different episodes.
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
    cell = Cell(
        row=row,
        column=column,
        ours=None,
        ours_over_seeds=None,
        difference=None,
        detectable=None,
        over_seeds=None,
        equal=False,
        baseline=baseline.name if baseline else "",
        paired=(),
        seeds=(),
        episodes=0,
        by_seed=(),
        paper=row.paper[place] if place < len(row.paper) else None,
    )
    mine, theirs = found.get(row.key), found.get(baseline.key) if baseline else None
    if mine is None:
        return cell
    if column.of_some_episodes:
        return _of_some_episodes(cell, mine)
    cell = _with_numbers(cell, mine)
    return _with_difference(cell, mine, theirs) if cell.ours and theirs else cell


def _with_numbers(cell: Cell, mine: RowResults) -> Cell:
    """Return a cell with the row's own number."""
    column = cell.column
    values, strata = mine.values(column, mine.seeds), mine.strata(column)
    if not values.size:
        return cell
    over_seeds = mean_by_seed(values) if len(values) > 1 else None
    # Losses have episodes of their own in each seed, so seeds alone vary there.
    ours = over_seeds if column.held_out else None
    return replace(
        cell,
        ours=ours or _scaled(row_mean(values / column.scale, strata, share=column.share), column.scale),
        ours_over_seeds=over_seeds,
        seeds=mine.seeds,
        episodes=values.shape[1],
        by_seed=tuple(values.mean(axis=1).tolist()),
    )


def _with_difference(cell: Cell, mine: RowResults, theirs: RowResults) -> Cell:
    """Return a cell with the difference to the baseline, over the seeds that both rows have.

    What an expert does is the same with every training, so one seed of it is compared with all of the baseline.
    """
    column = cell.column
    paired = [seed for seed in theirs.seeds if seed in mine.seeds or cell.row.agent in UNTRAINED]
    if not paired:
        return cell
    ours = mine.values(column, [seed if seed in mine.seeds else mine.seeds[0] for seed in paired])
    pair, strata = (ours, theirs.values(column, paired)), mine.strata(column)
    if not pair[1].size:
        return cell
    means = [each.mean(axis=1) for each in pair]
    over_seeds = difference_by_seed(means[0], means[1]) if len(paired) > 1 else None
    cell = replace(cell, over_seeds=over_seeds, equal=bool(np.array_equal(*pair)), paired=tuple(paired))
    if column.held_out and over_seeds:
        return replace(cell, difference=over_seeds.estimate, detectable=over_seeds.detectable)
    ours, baseline = (each / column.scale for each in pair)
    return replace(
        cell,
        difference=_scaled(paired_difference(ours, baseline, strata, share=column.share), column.scale),
        detectable=detectable_difference(*pair, strata),
    )


def _of_some_episodes(cell: Cell, mine: RowResults) -> Cell:
    """Return a mean over episodes with a miss or several attempts; rows and seeds have different ones: no pairs."""
    column = cell.column
    values = mine.values(column, mine.seeds)
    ours = mean_of_some(values / column.scale, mine.strata(column), share=column.share)
    if ours is None:
        return cell
    counts = (~np.isnan(values)).sum(axis=1)
    return replace(
        cell,
        ours=_scaled(ours, column.scale),
        ours_over_seeds=mean_by_seed(values) if len(values) > 1 else None,
        seeds=tuple(seed for seed, count in zip(mine.seeds, counts, strict=True) if count),
        episodes=int(counts.sum()),
    )


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
