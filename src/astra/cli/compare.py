"""`astra compare TABLE`: train and evaluate all rows of a table of the paper, and print it with the paper's numbers."""

from collections.abc import Sequence

from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.paper import TABLES


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if demonstrations must be downloaded first.
        ValueError: if the table, a row or the scale cannot be run, results were made with other settings, or runs
            failed.
    """
    usage = "astra compare TABLE [--seeds 0 1 2] [--dry-run] [--flag value ...]; TABLE --help lists the flags"
    notes = {name: first_line(make.docstring).removeprefix("Return ") for name, make in TABLES.items()}
    name = choose(arguments, "table", usage, notes)
    if name is None:
        return
    from astra.cli.comparison import Compare, compare

    compare(TABLES[name](), parse(Compare, f"compare {name}", arguments[1:], default=Compare()))
