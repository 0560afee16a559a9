"""`astra experiments [NAME]`: the named runs, or all that is noted of one."""

import inspect
from collections.abc import Sequence

import tyro
from rich.console import Console
from rich.padding import Padding

from astra.cli.names import nearest
from astra.cli.parse import parse
from astra.experiments import EXPERIMENTS


def list_experiments(name: tyro.conf.Positional[str] = "") -> None:
    """List the named runs with the paper's row, the scale and the hours to expect.

    Args:
        name: one run, of which the whole note is shown.

    Raises:
        ValueError: if there is no such run.
    """
    if name and name not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {name!r}{nearest(name, EXPERIMENTS)}")
    console = Console(highlight=False)
    for each in [name] if name else EXPERIMENTS:
        named = EXPERIMENTS[each]
        console.print(f"[bold]{each}[/bold]  {named.row}, {named.scale} scale, hours: {named.hours}")
        if name:
            print(inspect.getdoc(named.make))
        else:
            console.print(Padding(named.note, (0, 0, 1, 4)))


def run(arguments: Sequence[str]) -> None:
    """Run the command."""
    parse(list_experiments, "experiments", arguments)
