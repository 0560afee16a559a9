"""Peak resident memory of a training update, each contender in its own process."""

import json
import resource
import subprocess
import sys
from dataclasses import asdict, replace

import torch

from astra.parallel.allocator import keep_freed_memory
from astra.profiling.contenders import CONTENDERS, make_update
from astra.profiling.shapes import Measurement, Ratio, Shape


def benchmark_memory(shape: Shape, rounds: int = 3) -> Measurement:
    """Compare peaks; the smallest of several processes counts, because noise only adds to a peak."""
    shape = replace(shape, T=50, B=2)
    peak = {name: min(_peak(name, shape) for _ in range(min(rounds, 2))) for name in CONTENDERS}
    targets = {"hugging-face-gpt2": (0.70, 0.5)}
    ratios = []
    for name in CONTENDERS:
        if name != "astra":
            must, aim = targets.get(name, (None, None))
            ratios.append(
                Ratio(
                    name=f"peak resident memory of the update against {name}, {shape.where}",
                    ratio=peak["astra"] / peak[name],
                    must=must,
                    aim=aim,
                    better="lower",
                )
            )
    megabytes = ", ".join(f"{name} {kilobytes / 1024:.0f} MB" for name, kilobytes in peak.items())
    return Measurement(ratios=ratios, curves=[], notes=[f"peak resident memory, {shape.where}: {megabytes}"])


def _peak(name: str, shape: Shape) -> int:
    command = [sys.executable, "-m", "astra.profiling.memory", name, json.dumps(asdict(shape))]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise ChildProcessError(f"the measurement of {name} failed:\n{ended.stderr}")
    return int(ended.stdout.split()[-1])


def _main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    update = make_update(sys.argv[1], Shape(**json.loads(sys.argv[2])))
    for _ in range(3):
        update()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    _main()
