"""`astra compare TABLE`: train and measure every row of a table of the paper, and show it beside the paper's."""

from collections.abc import Sequence

from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.paper import TABLES


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if demonstrations must be downloaded first.
        ValueError: if the table, a row or the scale cannot be run, results were made by other settings, or runs failed.
    """
    usage = "astra compare TABLE [--scale cpu|paper] [--seeds 0 1 2] [--rows ROW ...] [--dry-run] [--only-report]"
    name = choose(arguments, "table", usage, {name: first_line(make.docstring) for name, make in TABLES.items()})
    if name is None:
        return
    from astra.cli.comparison import Compare, compare

    compare(TABLES[name](), parse(Compare, f"compare {name}", arguments[1:], default=Compare()))
