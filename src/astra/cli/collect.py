"""`astra collect SUITE --episodes N --output DIR`: let the expert of a suite demonstrate."""

from collections.abc import Sequence
from dataclasses import make_dataclass
from typing import Annotated, Any

import tyro

from astra.cli.names import choose
from astra.cli.parse import parse
from astra.environments import suite_notes

USAGE = "astra collect SUITE --episodes N --output DIR [--option value ...]; SUITE --help lists the options"


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such suite, or it is not installed.
        FileExistsError: if the output exists.
    """
    own = bool(arguments) and ":" in arguments[0]
    name = arguments[0] if own else choose(arguments, "suite", USAGE, suite_notes())
    if name is None:
        return
    from astra.datasets import LeRobotDataset
    from astra.demonstrations.collect import CollectConfig, collect
    from astra.environments.suite import find_suite

    suite = find_suite(name)
    parts: list[tuple[str, Any]] = [
        ("collecting", Annotated[CollectConfig, tyro.conf.arg(name="")]),
        ("options", Annotated[suite.demonstration_options or suite.options, tyro.conf.arg(name="")]),
    ]
    kind = make_dataclass("Collect", parts)
    kind.__doc__ = "Collect demonstrations from the expert of a suite and write them as a dataset."
    chosen: Any = parse(kind, f"collect {name}", arguments[1:])
    dataset = LeRobotDataset.open(collect(suite, chosen.collecting, chosen.options), reads=())
    print(f"{len(dataset)} episodes, {int(dataset.lengths.sum())} timesteps: {dataset.folder}")
