"""Plot predicted against demonstrated actions over an episode, one panel per action dimension."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from astra.evaluation.pictures.style import BLUE, GRAY, INK, new_figure, plain, tidy
from astra.trajectory import ActionSpec

COLUMNS = 2
"""Panels per row."""
LINES = ((INK, "-"), (BLUE, "-"), (GRAY, ":"))
"""Color and style of each line: demonstrated, policy, baseline."""


def action_plots(lines: Mapping[str, Float[np.ndarray, "T N"]], actions: ActionSpec, title: str = "") -> Figure:
    """Draw the actions of one episode over time.

    Args:
        lines: up to three lines of actions by name: the demonstrated actions first, then predictions.
        actions: names and bounds of the dimensions. Where a periodic dimension wraps around, its line is broken.
        title: title of the figure.
    """
    columns = min(COLUMNS, len(actions))
    rows = math.ceil(len(actions) / columns)
    figure = new_figure(4.4 * columns, 1.8 * rows + 0.7)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for dimension, (axes, name) in enumerate(zip(panels, actions.names, strict=False)):
        tidy(axes, name)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        width = actions.high[dimension] - actions.low[dimension]
        for (label, values), (color, style) in zip(lines.items(), LINES, strict=False):
            drawn = values[:, dimension].astype(float)
            if actions.periodic[dimension]:
                drawn = _broken(drawn, width / 2)
            marker = "." if len(drawn) == 1 else ""
            axes.plot(drawn, color=color, linestyle=style, marker=marker, linewidth=1.3, label=plain(label))
    for axes in panels[len(actions) - columns : len(actions)]:
        axes.set_xlabel("timestep", fontsize=9, color=INK)
        axes.tick_params(labelbottom=True)
    for axes in panels[len(actions) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(lines), fontsize=9, frameon=False)
    if title:
        figure.suptitle(plain(title), fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def _broken(values: Float[np.ndarray, " T"], jump: float) -> Float[np.ndarray, " T"]:
    """Leave out the value after each jump, so that no line is drawn across the panel."""
    broken = values.copy()
    broken[1:][np.abs(np.diff(values)) > jump] = np.nan
    return broken
