"""Plots of a run: learning curves, and results with their intervals."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from astra.evaluation.pictures.style import BLUE, FAINT, GRAY, GREEN, INK, ORANGE, PURPLE, new_figure, plain, tidy
from astra.evaluation.success import Estimate, Summary
from astra.storage.metrics_file import read_metrics_lines

Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""Points (update, value) by measure and source: curves["loss"]["validation"]."""

SOURCES = {"train": BLUE, "validation": ORANGE, "evaluation": GREEN}
"""Color of each source."""
FIRST = ("loss", "behavior_cloning", "action_accuracy")
"""Measures that come first; the others keep the order of the file."""
AGENTS = {"policy": BLUE, "swapped": PURPLE, "expert": GREEN, "no-op": GRAY}
"""Color of each agent."""
COLUMNS = 3
"""Panels per row."""
MANY = 60
"""Number of points above which a noisy curve is drawn faintly, under its moving average."""


def read_metrics(path: Path) -> Curves:
    """Read the points of `metrics.jsonl`; see `curves_of`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line is damaged.
    """
    return curves_of(read_metrics_lines(path))


def curves_of(rows: Sequence[Mapping[str, Any]]) -> Curves:
    """Return the points in the lines of a run; values that are not finite are skipped.

    If an update appears twice, because a run was resumed before it, the later line counts.
    """
    points: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        for key, value in row.items():
            source, _, measure = key.rpartition("/")
            if source and isinstance(value, int | float) and math.isfinite(value):
                points[measure][source][row["update"]] = float(value)
    order = sorted(points, key=lambda measure: FIRST.index(measure) if measure in FIRST else len(FIRST))
    return {name: {source: sorted(curve.items()) for source, curve in points[name].items()} for name in order}


def learning_curves(*runs: Curves) -> Figure:
    """Draw one panel per measure, with a line for each source that has it: training, validation, evaluation.

    Several runs, such as those of several training seeds, are drawn as thin lines under their mean.

    Raises:
        ValueError: if there are no curves.
    """
    curves: dict[str, dict[str, list[list[tuple[int, float]]]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for measure, lines in run.items():
            for source, points in lines.items():
                curves[measure][source].append(points)
    if not curves:
        raise ValueError(
            "got no curves, expected at least one; metrics.jsonl is empty until the first update is logged"
        )
    rows = math.ceil(len(curves) / COLUMNS)
    columns = min(len(curves), COLUMNS)
    figure = new_figure(3.6 * columns, 2.5 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (measure, lines) in zip(panels, curves.items(), strict=False):
        tidy(axes, measure.replace("_", " "))
        axes.set_xlabel("update", fontsize=8, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for source, each in lines.items():
            if len(each) == 1:
                _draw_curve(axes, source, np.array(each[0]))
            else:
                _draw_mean(axes, source, [np.array(points) for points in each])
        if list(lines) != ["train"]:
            axes.legend(fontsize=8, frameon=False)
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    return figure


def result_bars(summaries: Mapping[str, Summary]) -> Figure:
    """Draw one panel per measure, with a bar and an interval for each agent.

    Raises:
        ValueError: if there are no summaries.
    """
    if not summaries:
        raise ValueError("result bars need at least one agent, got none")
    measures: dict[str, dict[str, Estimate]] = defaultdict(dict)
    for agent, summary in summaries.items():
        for measure, estimate in {**summary.scores, "success": summary.success}.items():
            measures[measure][agent] = estimate
    figure = new_figure(3.3 * len(measures), 0.7 + 0.36 * len(summaries))
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True).flat
    for axes, (measure, estimates) in zip(panels, measures.items(), strict=True):
        tidy(axes, "success rate" if measure == "success" else f"mean of maximal {measure.replace('_', ' ')}")
        axes.grid(axis="y", visible=False)
        _draw_bars(axes, list(summaries), estimates)
    return figure


def _draw_mean(axes: Axes, source: str, runs: Sequence[np.ndarray]) -> None:
    """Draw the curves of several runs, and their mean over the updates that all of them have."""
    color = SOURCES.get(source, PURPLE)
    for points in runs:
        axes.plot(*points.T, color=color, linewidth=0.6, alpha=0.45)
    updates = sorted(set.intersection(*(set(points[:, 0].tolist()) for points in runs)))
    if updates:
        mean = np.mean([[dict(points.tolist())[update] for update in updates] for points in runs], axis=0)
        _draw_curve(axes, source, np.column_stack([updates, mean]))


def _draw_curve(axes: Axes, source: str, points: np.ndarray) -> None:
    color = SOURCES.get(source, PURPLE)
    updates, values = points.T
    if len(points) <= MANY:
        axes.plot(updates, values, color=color, linewidth=1.4, marker="o", markersize=3, label=plain(source))
        return
    span = len(points) // 30
    padded = np.pad(values, (span // 2, span - 1 - span // 2), mode="edge")
    axes.plot(updates, values, color=color, linewidth=0.6, alpha=0.3)
    axes.plot(
        updates,
        np.convolve(padded, np.full(span, 1 / span), mode="valid"),
        color=color,
        linewidth=1.4,
        label=plain(source),
    )


def _draw_bars(axes: Axes, agents: Sequence[str], estimates: Mapping[str, Estimate]) -> None:
    places = {agent: len(agents) - 1 - number for number, agent in enumerate(agents)}
    largest = max(1.0, *(estimate.high for estimate in estimates.values()))
    for agent, estimate in estimates.items():
        place, color = places[agent], AGENTS.get(agent, ORANGE)
        axes.barh(place, estimate.value, height=0.62, color=color, alpha=0.85)
        axes.plot([estimate.low, estimate.high], [place, place], color=INK, linewidth=1.2, marker="|", markersize=6)
        axes.text(1.04 * largest, place, f"{estimate.value:.2f}", va="center", fontsize=8, color=INK)
    axes.set_xlim(min(0.0, *(estimate.low for estimate in estimates.values())), 1.18 * largest)
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= largest])
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.set_yticks(list(places.values()), list(map(plain, places)))
    axes.tick_params(axis="y", length=0)
