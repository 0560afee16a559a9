"""Curves of a benchmark as a picture."""

from matplotlib.figure import Figure

from astra.benchmarks.shapes import Curve


def growth_figure(curves: list[Curve], title: str) -> Figure:
    """Draw how time grows with the timesteps, on logarithmic axes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        (line,) = axes.plot(curve.sizes, curve.values, marker="o", label=curve.name)
        if curve.highest is not None:
            axes.fill_between(curve.sizes, curve.values, curve.highest, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="timesteps, T", ylabel=curves[0].unit, title=title)
    axes.legend(frameon=False)
    return figure
