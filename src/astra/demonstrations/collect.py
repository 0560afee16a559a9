"""What all collecting of demonstrations shares: workers, a progress bar, and keeping what is complete."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from astra.datasets import DatasetWriter, Episode
from astra.parallel.pool import pool

AHEAD = 16
"""Demonstrations per worker that are asked for before the first of them is written."""


def demonstrations(
    demonstrate: Callable[..., Episode | None],
    arguments: Iterator[tuple[Any, ...]],
    *,
    workers: int,
    cluster: str | None = None,
    shared: tuple[Any, ...] = (),
) -> Generator[Episode]:
    """Yield successful demonstrations in the order of their arguments, without end, so that workers change nothing.

    Args:
        demonstrate: gives the demonstration of `(*shared, *arguments)`, or None where it did not succeed.
        arguments: of one attempt after the other.
        workers: processes of this machine.
        cluster: of Ray, to work there instead.
        shared: first arguments of all attempts.
    """
    waiting = deque[Future[Episode | None]]()
    with pool(workers, cluster=cluster, shared=shared) as tasks:
        while True:
            while len(waiting) < AHEAD * tasks.workers:
                waiting.append(tasks.submit(demonstrate, *next(arguments)))
            if (episode := waiting.popleft().result()) is not None:
                yield episode


def write_all(writer: DatasetWriter, episodes: Generator[Episode], total: int) -> BaseException | None:
    """Write so many episodes under a progress bar; give an error after the first one back, to be raised in the end.

    What was collected until then is worth keeping.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("episodes"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        bar, collected = progress.add_task("expert", total=total), 0
        try:
            while collected < total:
                writer.add(next(episodes))
                collected += 1
                progress.advance(bar)
        except (Exception, KeyboardInterrupt) as error:
            if not collected:
                raise
            print(f"cut short: {writer.folder} holds the {collected} episodes that were complete")
            return error
        finally:
            episodes.close()
    return None
