"""Timing of several sides in turn, so that other load on the machine slows all of them alike."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from astra.parallel.allocator import keep_freed_memory
from astra.progress import progress

IDLE = 0.3
"""Largest load per core of an idle machine."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block on one thread pinned to one core, with the allocator settings of training."""
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
    """Whether no other process computes, as wall-clock time on all threads needs."""
    return os.getloadavg()[0] < IDLE * (os.cpu_count() or 1)


def in_turn(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    label: str,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Time every side once per round, after one round of warm-up, and return the seconds of every call."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with progress(label, (rounds + 1) * len(sides), "calls") as advance:
        for round_number in range(rounds + 1):
            for name, call in sides.items():
                begun = clock()
                call()
                if round_number:
                    seconds[name].append(clock() - begun)
                advance(1)
    return seconds


def median_ratio(above: list[float], below: list[float]) -> float:
    """Return the median over rounds of the ratio of two sides."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
