"""`astra experiments [NAME]`: list the named experiments, or print the lab note of one."""

from collections.abc import Sequence

import tyro
from rich.padding import Padding
from rich.text import Text

from astra.cli.names import first_line, nearest
from astra.cli.parse import parse
from astra.experiments import EXPERIMENTS
from astra.screen import screen


def list_experiments(name: tyro.conf.Positional[str] = "") -> None:
    """List the named experiments with the paper's row, the scale and the expected hours.

    Args:
        name: experiment whose whole lab note is printed; without it, all are listed.

    Raises:
        ValueError: if there is no such experiment.
    """
    if name and name not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {name!r}{nearest(name, EXPERIMENTS)}")
    console = screen()
    for each in [name] if name else EXPERIMENTS:
        named = EXPERIMENTS[each]
        console.print(Text.assemble((each, "bold"), f"  {named.row}, {named.scale} scale, hours: {named.hours}"))
        if name:
            print(f"{named.notes}\n\nOf this and the experiments like it:\n\n{named.family_notes}")
        else:
            console.print(Padding(first_line(named.notes), (0, 0, 1, 4)))


def run(arguments: Sequence[str]) -> None:
    """Run the command."""
    parse(list_experiments, "experiments", arguments)
