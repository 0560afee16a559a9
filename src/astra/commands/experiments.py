"""`astra experiments`: the named runs."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from astra.commands.parse import parse
from astra.experiments import EXPERIMENTS


def list_experiments() -> None:
    """List the named runs with the paper's row, the scale and the hours to expect."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("experiment", "row", "scale", "hours", "what it is"):
        table.add_column(heading, no_wrap=heading == "experiment")
    for name, named in EXPERIMENTS.items():
        table.add_row(name, named.row, named.scale, named.hours, named.note)
    Console().print(table)


def run(arguments: Sequence[str]) -> None:
    """Run the command."""
    parse(list_experiments, "experiments", arguments)
