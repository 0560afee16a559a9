"""Command-line arguments to a frozen dataclass or a function call, by its fields and their docstrings."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tyro

T = TypeVar("T")


def parse(what: Callable[..., T], command: str, arguments: Sequence[str], default: T | None = None) -> T:
    """Make the dataclass from the arguments, or call the function with them; a bad argument exits with 2."""
    options: dict[str, Any] = {} if default is None else {"default": default}
    config = (tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff)
    return tyro.cli(what, prog=f"astra {command}", args=list(arguments), config=config, **options)
