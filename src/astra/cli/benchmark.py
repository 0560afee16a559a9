"""`astra benchmark WHAT`: speed and memory as ratios against peers, in one run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from astra.cli.parse import parse
from astra.evaluation.pictures.style import write_figure
from astra.profiling.contrast import benchmark_contrast
from astra.profiling.figures import growth_figure
from astra.profiling.inference import benchmark_inference
from astra.profiling.loading import benchmark_loading
from astra.profiling.memory import benchmark_memory
from astra.profiling.processes import benchmark_processes
from astra.profiling.shapes import Measurement, Ratio, Shape
from astra.profiling.training import benchmark_training

What = Literal["training", "inference", "memory", "loading", "processes", "contrast"]
BENCHMARKS: dict[What, Callable[[Shape, int], Measurement]] = {
    "training": benchmark_training,
    "inference": benchmark_inference,
    "memory": benchmark_memory,
    "loading": lambda shape, rounds: _of_own_sizes(shape, benchmark_loading(rounds)),
    "processes": lambda shape, rounds: _of_own_sizes(shape, [benchmark_processes(rounds)]),
    "contrast": benchmark_contrast,
}


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measure Astra (19M) against peers of the same size, in CPU time of one pinned thread and in peak memory."""

    what: tyro.conf.Positional[What] = "training"
    """What is measured: an update, a control step, the memory of an update, loading, two processes against one, or
    an update with contrastive dynamics learning."""
    rounds: int = 3
    """Times that each contender is timed, in turn; medians count."""
    format: Literal["text", "json"] = "text"
    """text, or json: a list of {"name", "ratio", "must", "aim", "better"}, the rows that have a target."""
    figures: Path | None = None
    """Folder for a picture of how time grows with the timesteps; None: no picture."""
    shape: Annotated[Shape, tyro.conf.arg(name="")] = field(default_factory=Shape)


def run(arguments: Sequence[str]) -> None:
    """Run the command."""
    chosen = parse(Benchmark, "benchmark", arguments)
    if chosen.rounds < 1:
        raise ValueError(f"--rounds must be at least 1, got {chosen.rounds}")
    found = BENCHMARKS[chosen.what](chosen.shape, chosen.rounds)
    if chosen.figures is not None and found.curves:
        figure = growth_figure(found.curves, f"{chosen.what}, Astra (19M)")
        write_figure(figure, chosen.figures / f"{chosen.what}.png")
    if chosen.format == "json":
        print(json.dumps([asdict(ratio) for ratio in found.ratios if ratio.must is not None], indent=2))
        return
    table = Table("what", "ratio", "must", "aim", "better", "", box=SIMPLE_HEAD, pad_edge=False)
    for ratio in found.ratios:
        numbers = ("" if value is None else f"{value:.2f}" for value in (ratio.ratio, ratio.must, ratio.aim))
        table.add_row(ratio.name, *numbers, ratio.better if ratio.must is not None else "", ratio.verdict)
    console = Console()
    console.print(table)
    for note in found.notes:
        console.print(note)


def _of_own_sizes(shape: Shape, ratios: list[Ratio]) -> Measurement:
    notes = [] if shape == Shape() else ["this benchmark has sizes of its own: those of the command line were not used"]
    return Measurement(ratios=ratios, curves=[], notes=notes)
