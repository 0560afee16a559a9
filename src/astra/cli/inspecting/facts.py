"""Printing of facts as two columns."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from astra.screen import screen


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print rows of (name, value)."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    screen().print(table)
