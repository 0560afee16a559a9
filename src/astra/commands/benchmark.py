"""`astra benchmark training`: speed and memory as ratios against peers, in one run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from astra.benchmarks.contenders import Shape
from astra.benchmarks.loading import benchmark_loading
from astra.benchmarks.processes import benchmark_processes
from astra.benchmarks.training import benchmark_training
from astra.commands.parse import parse


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measure a training update against Hugging Face's GPT-2, loading, or two processes against one."""

    what: tyro.conf.Positional[Literal["training", "loading", "processes"]] = "training"
    """What is measured."""
    rounds: int = 3
    """Timed updates of each contender, in turn; the median of the ratios counts."""
    format: Literal["text", "json"] = "text"
    """text, or json: a list of {"name", "ratio", "must", "aim", "better"}."""
    shape: Annotated[Shape, tyro.conf.arg(name="")] = field(default_factory=Shape)


def run(arguments: Sequence[str]) -> None:
    """Run the command."""
    chosen = parse(Benchmark, "benchmark", arguments)
    match chosen.what:
        case "training":
            ratios = benchmark_training(chosen.shape, chosen.rounds)
        case "loading":
            ratios = benchmark_loading(chosen.rounds)
        case "processes":
            ratios = [benchmark_processes(chosen.rounds)]
    if chosen.format == "json":
        print(json.dumps([asdict(ratio) for ratio in ratios], indent=2))
        return
    table = Table("what", "ratio", "must", "aim", "better", box=SIMPLE_HEAD, pad_edge=False)
    for ratio in ratios:
        table.add_row(
            ratio.name,
            "inconclusive" if ratio.ratio is None else f"{ratio.ratio:.2f}",
            f"{ratio.must:.2f}",
            f"{ratio.aim:.2f}",
            ratio.better,
        )
    Console().print(table)
