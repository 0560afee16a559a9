"""Training of Astra (19M) by two processes on two cores, against one process on one core.

Both train the same policy with equal global batches and seed, each process on one thread of its own core, connected by
gloo. Wall-clock time counts, so two cores must be idle: this is checked before and after, and the row is inconclusive
where a core was busy.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from astra.datasets import LeRobotDataset, Windows, compute_statistics
from astra.policies.sizes import astra_19m
from astra.profiling.shapes import Ratio
from astra.training.config import TrainingConfig
from astra.training.train import train
from astra.trajectory import ActionSpec, TrajectorySpec

L, M, N, T, B = 16, 4, 7, 20, 16
IDLE = 0.9
"""Smallest share of an idle core that a busy loop gets."""


def benchmark_processes(rounds: int = 2, updates: int = 4) -> Ratio:
    """Time updates of one process and of two in turn, and return the median of the ratios.

    Args:
        rounds: number of trainings of each.
        updates: updates of a training; the first one warms up.
    """
    idle = idle_cores()
    ratios: list[float] = []
    for _ in range(rounds if idle >= 2 else 0):
        one, two = (_timesteps_per_second(processes, updates) for processes in (1, 2))
        ratios += [fast / slow for slow, fast in zip(one, two, strict=True)]
    idle = min(idle, idle_cores())
    return Ratio(
        name=f"2 processes on 2 cores against 1 on 1, updates of Astra (19M), L{L} T{T} M{M} N{N} B{B}",
        ratio=statistics.median(ratios) if idle >= 2 else None,
        must=1.5,
        aim=1.8,
        better="higher",
    )


def idle_cores(seconds: float = 0.3) -> int:
    """Count the cores, of those that this process may use, on which a busy loop gets nearly all of the time."""
    cores = _cores()
    idle = 0
    try:
        for core in cores:
            _pin({core})
            begun, cpu = time.perf_counter(), time.process_time()
            while time.perf_counter() - begun < seconds:
                pass
            idle += time.process_time() - cpu > IDLE * seconds
    finally:
        _pin(set(cores))
    return idle


def _timesteps_per_second(processes: int, updates: int) -> list[float]:
    """Train in new processes, and return the speed of each update but the first."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="astra-processes-") as folder:
        command = [sys.executable, "-m", "astra.profiling.processes", folder, str(updates)]
        world = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        ranks = [{**world, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
        launched = ranks if processes > 1 else [{}]  # a single process runs without distributed training
        environments = [{**os.environ, "OMP_NUM_THREADS": "1", **variables} for variables in launched]
        started = [subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) for env in environments]
        try:
            if any(process.wait() for process in started):
                raise ChildProcessError(f"one of {processes} processes failed; see its message above")
        finally:
            for process in started:
                process.kill()
        lines = [json.loads(line) for line in (Path(folder) / "run/metrics.jsonl").read_text().splitlines()]
    return [line["train/timesteps_per_second"] for line in lines if "train/loss" in line][1:]


def random_demonstrations(episodes: int = 16, length: int = 40) -> LeRobotDataset:
    """Build random demonstrations in memory, with the sizes of the benchmark."""
    random = np.random.default_rng(0)
    states = {f"observation.state_{number}": 6 for number in range(M)}
    spec = TrajectorySpec(
        states=states,
        actions=ActionSpec(names=tuple(f"joint_{number}" for number in range(N)), low=(-4.0,) * N, high=(4.0,) * N),
        instructions=(" ".join("abcdefghijklmnop"[:L]),),
    )
    rows = episodes * length
    columns = {name: random.standard_normal((rows, size), dtype=np.float32) for name, size in states.items()}
    columns["action"] = random.standard_normal((rows, N), dtype=np.float32).clip(-4, 4)
    ends = np.arange(length, rows + 1, length)
    return LeRobotDataset(
        folder=Path("nowhere"),
        spec=spec,
        instructions=spec.instructions * episodes,
        starts=ends - length,
        ends=ends,
        columns=columns,
    )


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _pin(cores: set[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _main(folder: Path, updates: int) -> None:
    _pin({_cores()[int(os.environ.get("LOCAL_RANK", 0))]})
    dataset = random_demonstrations()
    windows = Windows(dataset, timesteps=T)
    seldom = 10**6
    config = TrainingConfig(
        updates=updates,
        batch_size=B,
        timesteps=T,
        precision="float32",
        threads=1,
        log_every=1,
        validation_every=seldom,
        validation_windows=1,
        checkpoint_every=seldom,
    )
    train(astra_19m(), config, windows, windows, folder / "run", statistics=compute_statistics(dataset))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
