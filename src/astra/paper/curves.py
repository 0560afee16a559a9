"""Figure 5: loss and action accuracy of all rows, against updates and against time, mean and range over seeds.

Time is what an update of the row took, the median over its seeds: a seed whose core was shared moves no curve. It is
that of updates alone, as `metrics.jsonl` keeps it, on one thread. Where rows were trained on different machines there
are no curves against time.
"""

import json
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from astra.evaluation.pictures.plots import read_metrics
from astra.evaluation.pictures.style import BLUE, GRAY, GREEN, INK, ORANGE, PURPLE, new_figure, tidy
from astra.paper.report import Report

COLORS = (BLUE, ORANGE, GREEN, PURPLE, "#8c564b", GRAY, "#d55e00", "#56b4e9", "#000000")
MEASURES = ("loss", "action_accuracy")
POINTS = 100
"""Of a curve: those of its seeds are brought to the same places."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measure of one row over its seeds."""

    places: Float[np.ndarray, " P"]
    lines: Float[np.ndarray, "K P"]


def training_curves(report: Report, source: Literal["train", "validation"] = "train") -> Figure:
    """Draw loss and accuracy, in training or on held-out episodes.

    Raises:
        ValueError: if there is no finished run with metrics.
    """
    rows = [row for row in report.table.rows if list(report.folder_of(row).glob("[0-9]*/metrics.jsonl"))]
    if not rows:
        raise ValueError(f"{report.folder} holds no finished run: there is nothing to draw")
    shown = ("update", "minutes") if len(report.machines) < 2 else ("update",)
    figure = new_figure(9.5, 6.2) if len(shown) == 2 else new_figure(9.5, 3.6)
    panels = figure.subplots(2, 2) if len(shown) == 2 else figure.subplots(1, 2)[:, None]
    for across, measure in enumerate(MEASURES):
        for down, axis in enumerate(shown):
            axes = panels[across][down]
            tidy(axes, f"{'training' if source == 'train' else 'held-out'} {measure.replace('_', ' ')}")
            axes.set_xlabel("update" if axis == "update" else "minutes of training", fontsize=8, color=INK)
            for row, color in zip(rows, cycle(COLORS), strict=False):
                _draw(axes, read_curve(report.folder_of(row), source, measure, axis), row.name, color)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def read_curve(folder: Path, source: str, measure: str, axis: str) -> Curve | None:
    """Bring a measure of all seeds of a row to the same places, up to where the shortest ends; None: not recorded."""
    found = []
    for path in sorted(folder.glob("[0-9]*/metrics.jsonl")):
        points = read_metrics(path).get(measure, {}).get(source, [])
        if points:
            found.append(np.array(points, np.float64).T)
    if not found:
        return None
    begin, end = max(places[0] for places, _ in found), min(places[-1] for places, _ in found)
    places = np.linspace(begin, end, POINTS)
    lines = np.stack([np.interp(places, *each) for each in found])
    return Curve(places=places if axis == "update" else places * minutes_per_update(folder), lines=lines)


def minutes_per_update(folder: Path) -> float:
    """Tell what an update of a row took: the median over its seeds."""
    ends = [json.loads(path.read_text().splitlines()[-1]) for path in folder.glob("[0-9]*/metrics.jsonl")]
    return median(end["minutes"] / end["update"] for end in ends)


def _draw(axes: Axes, curve: Curve | None, name: str, color: str) -> None:
    if curve is None:
        return
    axes.plot(curve.places, curve.lines.mean(axis=0), color=color, linewidth=1.4, label=name)
    if len(curve.lines) > 1:
        axes.fill_between(
            curve.places, curve.lines.min(axis=0), curve.lines.max(axis=0), color=color, alpha=0.18, linewidth=0
        )
