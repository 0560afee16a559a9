"""`astra benchmark training|inference|memory`: speed and memory as ratios against peers, in one run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from astra.benchmarks.figures import growth_figure
from astra.benchmarks.inference import benchmark_inference
from astra.benchmarks.memory import benchmark_memory
from astra.benchmarks.shapes import Measurement, Shape
from astra.benchmarks.training import benchmark_training
from astra.commands.parse import parse

What = Literal["training", "inference", "memory"]
BENCHMARKS: dict[What, Callable[[Shape, int], Measurement]] = {
    "training": benchmark_training,
    "inference": benchmark_inference,
    "memory": benchmark_memory,
}


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measure Astra (19M) against peers of the same size, in CPU time of one pinned thread and in peak memory."""

    what: tyro.conf.Positional[What] = "training"
    """What is measured: an update, a control step, or the memory of an update."""
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
        chosen.figures.mkdir(parents=True, exist_ok=True)
        path = chosen.figures / f"{chosen.what}.png"
        growth_figure(found.curves, f"{chosen.what}, Astra (19M)").savefig(path, dpi=150)
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
