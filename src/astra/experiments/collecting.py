"""What all collecting of demonstrations shares: worker processes, a progress bar, and keeping what is complete."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from astra.datasets import DatasetWriter, Episode


def processes(workers: int) -> ProcessPoolExecutor:
    """Start so many workers, each of which computes on one thread."""
    for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(threads, "1")  # read by the workers: small matrices gain nothing from more
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def write_all(writer: DatasetWriter, episodes: Iterator[Episode], total: int) -> BaseException | None:
    """Write episodes under a progress bar; an error after the first one is given back, to be raised when all is saved.

    What was collected is worth keeping.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("episodes"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        bar, collected = progress.add_task("expert", total=total), 0
        try:
            for episode in episodes:
                writer.add(episode)
                collected += 1
                progress.advance(bar)
        except (Exception, KeyboardInterrupt) as error:
            if not collected:
                raise
            print(f"cut short: {writer.folder} holds the {collected} episodes that were complete")
            return error
    return None
