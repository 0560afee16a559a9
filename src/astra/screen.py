"""The console on which Astra prints tables: text is printed as it is, whatever brackets or colons its names have."""

import os

from rich.console import Console

UNLIMITED = 10_000
"""Columns of a file or pipe, in which nothing is wrapped or cut, so that programs can read it line by line."""


def screen(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console without markup, emoji codes and highlighting; styled text is a `rich.text.Text`.

    Its width is that of the terminal, or COLUMNS. A file or pipe has no width.

    Args:
        stderr: print on standard error.
        quiet: print nothing.
    """
    console = Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNLIMITED
    return console
