"""Curves of a benchmark as a picture."""

from matplotlib.figure import Figure

from astra.evaluation.pictures.style import new_figure, tidy
from astra.profiling.shapes import Curve


def growth_figure(curves: list[Curve], title: str) -> Figure:
    """Draw how time grows with the timesteps, on logarithmic axes."""
    figure = new_figure(6, 4)
    axes = figure.subplots()
    for curve in curves:
        (line,) = axes.plot(curve.sizes, curve.values, marker="o", label=curve.name)
        if curve.highest is not None:
            axes.fill_between(curve.sizes, curve.values, curve.highest, color=line.get_color(), alpha=0.2, linewidth=0)
    tidy(axes, title)
    axes.set(xscale="log", yscale="log", xlabel="timesteps, T", ylabel=curves[0].unit)
    axes.legend(frameon=False)
    return figure
