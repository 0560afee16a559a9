"""The training update of Astra (19M) against Hugging Face's GPT-2 with the same dense mask: CPU time and memory."""

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import torch
from rich.progress import Progress

from astra.benchmarks.contenders import CONTENDERS, Shape, make_update
from astra.training.allocator import keep_freed_memory

PEER = "hugging-face-gpt2"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One row: how many times better or worse than the peer."""

    name: str
    ratio: float
    must: float
    aim: float
    better: str
    """higher or lower."""


def benchmark_training(shape: Shape, rounds: int = 3) -> list[Ratio]:
    """Time updates on one thread, contenders in turn, and measure the peak memory of each in a process of its own."""
    torch.set_num_threads(1)
    keep_freed_memory()
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with Progress(transient=True) as progress:
        bar = progress.add_task("updates", total=(rounds + 1) * len(CONTENDERS) + len(CONTENDERS))
        updates = {name: make_update(name, shape) for name in CONTENDERS}
        for round_number in range(rounds + 1):
            for name, update in updates.items():
                begun = time.process_time()
                update()
                if round_number:  # the first one warms up
                    seconds[name].append(time.process_time() - begun)
                progress.advance(bar)
        del updates
        peak = {}
        for name in CONTENDERS:
            peak[name] = _peak_memory(name, shape)
            progress.advance(bar)
    ratios = [peer / ours for peer, ours in zip(seconds[PEER], seconds["astra"], strict=True)]
    where = f"L{shape.L} T{shape.T} M{shape.M} N{shape.N} B{shape.B}"
    return [
        Ratio(
            name=f"update against {PEER}, {where}",
            ratio=statistics.median(ratios),
            must=1.3,
            aim=1.5,
            better="higher",
        ),
        Ratio(
            name=f"peak memory against {PEER}, {where}",
            ratio=peak["astra"] / peak[PEER],
            must=1.0,
            aim=0.7,
            better="lower",
        ),
    ]


def _peak_memory(name: str, shape: Shape) -> int:
    """Make two updates in a process of its own and give its peak resident memory, in the system's unit."""
    command = [sys.executable, "-m", "astra.benchmarks.training", name, json.dumps(asdict(shape))]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    update = make_update(sys.argv[1], Shape(**json.loads(sys.argv[2])))
    update()
    update()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    _main()
