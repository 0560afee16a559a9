"""Command-line arguments to a frozen dataclass or a function call, by its fields and their docstrings."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

T = TypeVar("T")


def parse(what: Callable[..., T], command: str, arguments: Sequence[str], default: T | None = None) -> T:
    """Make the dataclass from the arguments, or call the function with them."""
    config = (tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff)
    program, given = f"astra {command}", list(arguments)
    if default is None:
        return tyro.cli(what, prog=program, args=given, config=config)
    return tyro.cli(what, prog=program, args=given, config=config, default=default)
