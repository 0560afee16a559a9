"""`astra experiments`: the named runs."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding

from astra.commands.parse import parse
from astra.experiments import EXPERIMENTS


def list_experiments() -> None:
    """List the named runs with the paper's row, the scale and the hours to expect."""
    console = Console(highlight=False)
    for name, named in EXPERIMENTS.items():
        console.print(f"[bold]{name}[/bold]  {named.row}, {named.scale} scale, hours: {named.hours}")
        console.print(Padding(named.note, (0, 0, 1, 4)))


def run(arguments: Sequence[str]) -> None:
    """Run the command."""
    parse(list_experiments, "experiments", arguments)
