"""Time in turn, so that a noisy neighbor hits all sides alike."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from rich.console import Console
from rich.progress import Progress

from astra.training.allocator import keep_freed_memory

IDLE = 0.3
"""Load per core up to which a machine counts as idle."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread that stays on one core, with the allocator that training has."""
    threads = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    torch.set_num_threads(1)
    keep_freed_memory()
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if cores:
            os.sched_setaffinity(0, cores)


def machine_is_idle() -> bool:
    """Tell whether nobody else computes, which wall-clock time on all threads needs."""
    return os.getloadavg()[0] < IDLE * (os.cpu_count() or 1)


def in_turn(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    label: str,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Give the seconds of every call, one side after the other in every round; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(label, total=(rounds + 1) * len(sides))
        for round_number in range(rounds + 1):
            for name, call in sides.items():
                begun = clock()
                call()
                if round_number:
                    seconds[name].append(clock() - begun)
                progress.advance(bar)
    return seconds


def median_ratio(above: list[float], below: list[float]) -> float:
    """Give the median over rounds of the ratio of two sides."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
