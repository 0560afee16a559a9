"""Progress of long work: a bar on a terminal, and lines in a log, as on a cluster."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from astra.screen import screen

T = TypeVar("T")
FIRST_LINE, LATER = 60.0, 1.25
"""Seconds until the first line of a log, also the least between two lines; and the factor by which that time grows."""


@contextmanager
def progress(
    title: str, total: int, unit: str, *, shown: bool = True, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[float], None]]:
    """Show the progress of some work on standard error, and yield a function that takes how much more is done.

    Args:
        title: What is done, such as "collecting".
        total: How much there is to do.
        unit: What is counted, such as "episodes".
        shown: Whether anything is shown.
        clock: Clock in seconds.
    """
    console = screen(stderr=True, quiet=not shown)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(f"{{task.percentage:.0f}} % of {total:,} {unit}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    is_log, begun, done, line_at = not console.is_terminal, clock(), 0.0, FIRST_LINE
    with Progress(*columns, console=console, transient=True, disable=is_log or not shown) as bar:
        task = bar.add_task(title, total=total)

        def advance(amount: float) -> None:
            nonlocal done, line_at
            done += amount
            bar.advance(task, amount)
            seconds = clock() - begun
            if is_log and seconds >= line_at and 0 < done < total:
                line_at = max(seconds + FIRST_LINE, LATER * seconds)
                left = about(seconds * (total - done) / done)
                console.print(f"{title}: {100 * done / total:.0f} % of {total:,} {unit}, {left} left", soft_wrap=True)

        yield advance


def tracked(items: Iterable[T], title: str, total: int, unit: str, *, shown: bool = True) -> Iterator[T]:
    """Yield items and show the progress; an item counts as done when the next one is asked for."""
    with progress(title, total, unit, shown=shown) as advance:
        for item in items:
            yield item
            advance(1)


def about(seconds: float) -> str:
    """Return a rough duration in words."""
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 1.5:
        return "about a minute"
    return f"about {minutes:.0f} minutes" if minutes < 90 else f"about {minutes / 60:.1f} hours"
