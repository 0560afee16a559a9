"""`astra benchmark WHAT`: speed and memory as ratios against other implementations, measured in one run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from astra.cli.parse import parse
from astra.lazy_function import LazyFunction
from astra.profiling.shapes import Curve, Measurement, Shape
from astra.screen import screen
from astra.storage.numbers import Count, check_numbers

What = Literal["training", "inference", "memory", "loading", "processes", "contrast"]
BENCHMARKS: dict[What, LazyFunction] = {
    name: LazyFunction(f"astra.profiling.{name}", f"benchmark_{name}") for name in get_args(What)
}
OWN_SIZES: tuple[What, ...] = ("loading", "processes")
"""Benchmarks that do not use the sizes of the command line."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measure Astra (19M) against implementations of the same size: CPU time of one pinned thread, and peak memory."""

    what: tyro.conf.Positional[What] = "training"
    """Benchmark: a training update, a control step (inference), memory of an update, loading, two processes against
    one, or an update with contrastive dynamics learning (contrast)."""
    rounds: Count = 3
    """Times that each contender is timed, in turn; medians are reported."""
    format: Literal["text", "json"] = "text"
    """Output: text, or json, a list of {"name", "ratio", "must", "aim", "better"} of the rows with a target."""
    peer: Path | None = None
    """Python of an environment with LeRobot, whose loader reads the same sets in `loading`. None: without it."""
    figures: Path | None = None
    """Folder for a picture of time by number of timesteps; None: no picture."""
    shape: Annotated[Shape, tyro.conf.arg(name="")] = field(default_factory=Shape)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names its flag.
        """
        check_numbers(self, "")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if a number is out of range, or a benchmark cannot use the sizes.
    """
    chosen = parse(Benchmark, "benchmark", arguments)
    if chosen.peer is not None and chosen.what != "loading":
        raise ValueError(f"--peer belongs to astra benchmark loading, got it with {chosen.what}")
    if chosen.peer is not None and not chosen.peer.is_file():
        raise ValueError(f"--peer must be the Python of an environment with LeRobot, and {chosen.peer} is no file")
    found = _measure(chosen)
    drawn = None
    if chosen.figures is not None and found.curves:
        drawn = chosen.figures / f"{chosen.what}.png"
        _draw(found.curves, f"{chosen.what}, Astra (19M)", drawn)
    if chosen.format == "json":
        print(json.dumps([asdict(ratio) for ratio in found.ratios if ratio.must is not None], indent=2))
        return
    table = Table("what", "ratio", "must", "aim", "better", "", box=SIMPLE_HEAD, pad_edge=False)
    for ratio in found.ratios:
        numbers = ("" if value is None else f"{value:.2f}" for value in (ratio.ratio, ratio.must, ratio.aim))
        table.add_row(ratio.name, *numbers, ratio.better if ratio.must is not None else "", ratio.verdict)
    console = screen()
    console.print(table)
    for note in found.notes:
        console.print(note)
    if chosen.figures is not None:
        print(f"written: {drawn}" if drawn else f"{chosen.what} has no curve to draw, so --figures wrote nothing")


def _draw(curves: list[Curve], title: str, path: Path) -> None:
    """Draw time by number of timesteps, on logarithmic axes."""
    from astra.evaluation.pictures.style import new_figure, tidy, write_figure

    figure = new_figure(6, 4)
    axes = figure.subplots()
    for curve in curves:
        (line,) = axes.plot(curve.sizes, curve.values, marker="o", label=curve.name)
        if curve.highest is not None:
            axes.fill_between(curve.sizes, curve.values, curve.highest, color=line.get_color(), alpha=0.2, linewidth=0)
    tidy(axes, title)
    axes.set(xscale="log", yscale="log", xlabel="timesteps, T", ylabel=curves[0].unit)
    axes.legend(frameon=False)
    write_figure(figure, path)


def _measure(chosen: Benchmark) -> Measurement:
    benchmark = BENCHMARKS[chosen.what]
    if chosen.what not in OWN_SIZES:
        return benchmark(chosen.shape, chosen.rounds)
    found = benchmark(chosen.rounds, chosen.peer) if chosen.what == "loading" else benchmark(chosen.rounds)
    notes = (
        [] if chosen.shape == Shape() else ["this benchmark has its own sizes and ignores those of the command line"]
    )
    if isinstance(found, Measurement):
        return replace(found, notes=[*found.notes, *notes])
    return Measurement(ratios=[found], curves=[], notes=notes)
