"""Pictures of a report: success as bars with intervals, and training curves (Figure 5 of the paper).

Curves show the mean over training seeds and the range between them. On the time axis every row gets the median time of
an update over its seeds, so that a seed on a shared core moves no curve. Rows that were trained on different machines
have no curves against time.
"""

from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from astra.evaluation.pictures.plots import read_metrics
from astra.evaluation.pictures.style import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, new_figure, tidy
from astra.paper.report import Cell, Report
from astra.paper.row_results import seed_folders
from astra.storage.metrics_file import read_metrics_lines

COLORS = (BLUE, ORANGE, GREEN, PURPLE, "#8c564b", GRAY, "#d55e00", "#56b4e9", "#000000")
MEASURES = ("loss", "action_accuracy")
ACROSS = 5
"""Largest number of panels in a row of a picture."""
POINTS = 100
"""Points of a curve, at which all its seeds are interpolated."""


# -- bars ------------------------------------------------------------------------------------------------------------


def result_bars(report: Report) -> Figure:
    """Draw a panel per column, a bar per row with its interval, a dot per seed, and a diamond for the paper's number.

    Raises:
        ValueError: if there is no number of ours.
    """
    rows = [row for row in report.cells if any(cell.ours for cell in row)]
    shown = [place for place, column in enumerate(report.table.columns) if column.share]
    columns = [place for place in shown if any(row[place].ours for row in rows)]
    if not columns:
        raise ValueError(f"{report.folder} holds no finished run, so there is nothing to draw")
    down = -(-len(columns) // ACROSS)
    across = -(-len(columns) // down)
    figure = new_figure(1.6 + 2.6 * across, 1.1 + (0.4 + 0.4 * len(rows)) * down)
    panels = figure.subplots(down, across, squeeze=False, sharey=True).flatten()
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    for axes, place in zip(panels, columns, strict=False):
        tidy(axes, report.table.columns[place].name)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("%", fontsize=8, color=INK)
        for height, row in enumerate(reversed(rows)):
            _draw_bar(axes, height, row[place])
        axes.set_yticks(range(len(rows)), [row[0].row.name for row in reversed(rows)])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 108)
    paper = f"the paper's, {report.table.paper_environment or 'none'}"
    marks = [
        Line2D([], [], color=INK, marker="|", linewidth=1.2, markersize=6, label="95 % interval"),
        Line2D([], [], color=INK, marker=".", linestyle="", markersize=6, label="one training seed"),
        Line2D([], [], color=GRAY, marker="D", linestyle="", markersize=5, mfc="none", label=paper),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(f"{report.table.title}, {report.scale} scale", fontsize=10, color=INK)
    return figure


def _draw_bar(axes: Axes, height: int, cell: Cell) -> None:
    if cell.paper is not None:
        axes.plot(cell.paper, height, color=GRAY, marker="D", markersize=5, mfc="none", zorder=3)
    if cell.ours is None:
        return
    color = BLUE if cell.row.name.startswith("Astra") else ORANGE
    axes.barh(height, cell.ours.value, height=0.62, color=color, alpha=0.75)
    axes.plot([cell.ours.low, cell.ours.high], [height] * 2, color=INK, linewidth=1.2, marker="|", markersize=7)
    axes.plot(cell.by_seed, [height - 0.2] * len(cell.by_seed), color=INK, marker=".", linestyle="", markersize=4)


# -- training curves -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measure of one row, over its training seeds."""

    x: Float[np.ndarray, " P"]
    """Updates or minutes."""
    by_seed: Float[np.ndarray, "K P"]
    """Value of the measure, one line per seed."""


def training_curves(report: Report, source: Literal["train", "validation"] = "train") -> Figure:
    """Draw loss and action accuracy of all rows, on training data or on held-out episodes.

    Raises:
        ValueError: if there is no finished run with metrics.
    """
    trained = [row for row in report.table.rows if not row.runs_of]
    rows = [row for row in trained if _metrics(report.folder_of(row))]
    if not rows:
        raise ValueError(f"{report.folder} holds no finished run, so there is nothing to draw")
    shown = ("update", "minutes") if len(report.machines) < 2 else ("update",)
    figure = new_figure(9.5, 6.2) if len(shown) == 2 else new_figure(9.5, 3.6)
    panels = figure.subplots(2, 2) if len(shown) == 2 else figure.subplots(1, 2)[:, None]
    for across, measure in enumerate(MEASURES):
        for down, axis in enumerate(shown):
            axes = panels[across][down]
            tidy(axes, f"{'training' if source == 'train' else 'held-out'} {measure.replace('_', ' ')}")
            axes.set_xlabel("update" if axis == "update" else "minutes of training", fontsize=8, color=INK)
            for row, (style, color) in zip(rows, cycle(product(("-", "--"), COLORS)), strict=False):
                _draw_curve(axes, read_curve(report.folder_of(row), source, measure, axis), row.name, color, style)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def read_curve(folder: Path, source: str, measure: str, axis: str) -> Curve | None:
    """Read a measure of all seeds of a row, up to the end of the shortest run; None: it was not recorded."""
    found = []
    for path in _metrics(folder):
        points = read_metrics(path).get(measure, {}).get(source, [])
        if points:
            found.append(np.array(points, np.float64).T)
    if not found:
        return None
    begin, end = max(x[0] for x, _ in found), min(x[-1] for x, _ in found)
    x = np.linspace(begin, end, POINTS)
    by_seed = np.stack([np.interp(x, *each) for each in found])
    return Curve(x=x if axis == "update" else x * minutes_per_update(folder), by_seed=by_seed)


def minutes_per_update(folder: Path) -> float:
    """Return the minutes of an update of a row: the median over its seeds."""
    ends = [read_metrics_lines(path)[-1] for path in _metrics(folder)]
    return median(end["minutes"] / end["update"] for end in ends)


def _metrics(folder: Path) -> list[Path]:
    return [path for run in seed_folders(folder) if (path := run / "metrics.jsonl").exists()]


def _draw_curve(axes: Axes, curve: Curve | None, name: str, color: str, style: str) -> None:
    if curve is None:
        return
    axes.plot(curve.x, curve.by_seed.mean(axis=0), color=color, linestyle=style, linewidth=1.4, label=name)
    if len(curve.by_seed) > 1:
        low, high = curve.by_seed.min(axis=0), curve.by_seed.max(axis=0)
        axes.fill_between(curve.x, low, high, color=color, alpha=0.18, linewidth=0)
