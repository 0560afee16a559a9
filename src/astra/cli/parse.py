"""Command-line options from the fields of a dataclass, or the parameters of a function, and their docstrings."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tyro

T = TypeVar("T")


def parse(target: Callable[..., T], command: str, arguments: Sequence[str], default: T | None = None) -> T:
    """Build a dataclass from the arguments, or call a function with them; bad arguments exit with 2.

    Args:
        target: dataclass or function.
        command: command as typed, without `astra`.
        arguments: arguments after the command.
        default: instance that holds the defaults; None: those of the class.
    """
    options: dict[str, Any] = {} if default is None else {"default": default}
    config = (tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff)
    return tyro.cli(target, prog=f"astra {command}", args=list(arguments), config=config, **options)
