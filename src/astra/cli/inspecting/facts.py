"""Printing of facts as two columns."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from astra.screen import screen

WIDEST = 60
"""Width of the column of names in a pipe; a longer name, such as that of a long instruction, moves its value alone."""


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print rows of (name, value). On a terminal long ones wrap, and lose nothing; elsewhere they stay on a line."""
    console = screen()
    if not console.is_terminal:
        width = min(max((len(name) for name, _ in facts), default=0), WIDEST) + 1
        for name, value in facts:
            for first, line in zip((name, *[""] * value.count("\n")), value.split("\n"), strict=True):
                console.print(f"{first:<{width}} {line}".rstrip(), soft_wrap=True)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts:
        table.add_row(Text(name, overflow="fold"), Text(value, overflow="fold"))
    console.print(table)
