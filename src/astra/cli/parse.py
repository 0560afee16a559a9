"""Command-line options from the fields of a dataclass, or the parameters of a function, and their docstrings."""

import contextlib
import functools
import inspect
import io
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import tyro

from astra.cli.flags.help import flags_of, help_text
from astra.cli.flags.messages import name_flags, remember_flags, unboxed
from astra.storage.numbers import check_parameters

T = TypeVar("T")
CONFIG = (tyro.conf.AvoidSubcommands,)


def parse(
    target: Callable[..., T],
    command: str,
    arguments: Sequence[str],
    default: T | None = None,
    common: Collection[str] = (),
) -> T:
    """Build a dataclass from the arguments, or call a function with them.

    --help prints the common flags and --help-all all flags. Both exit with 0, and bad arguments with 2 after one
    message. The numbers of a function must lie in the range that their types declare, as those of a dataclass must.

    Args:
        target: dataclass or function.
        command: command as typed, without `astra`.
        arguments: arguments after the command.
        default: instance that holds the defaults; None: those of the class.
        common: flags that --help shows; empty: all.

    Raises:
        ValueError: if a number that is passed to a function lies outside its range.
    """
    options: dict[str, Any] = {} if default is None else {"default": default}
    options |= {"prog": f"astra {command}", "config": CONFIG}
    described = target if inspect.isclass(inspect.unwrap(target)) or not inspect.isfunction(target) else _later(target)

    @functools.cache
    def parser() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the only function of tyro that returns the flags
            return tyro.extras.get_parser(described, **options)

    asked = {"-h", "--help", "--help-all"}.intersection(arguments)
    if asked:
        shown = set() if "--help-all" in asked else set(common)
        print(help_text(f"astra {command}", str(parser().description or ""), flags_of(parser()), common=shown))
        raise SystemExit(0)
    remember_flags(lambda: [name for flag in flags_of(parser()) for name in flag.names], arguments)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed: Any = tyro.cli(described, args=list(arguments), **options)
    except SystemExit as stop:
        if stop.code:
            print(f"astra: {name_flags(unboxed(said.getvalue()))}", file=sys.stderr)
        raise
    if described is target:
        return parsed
    check_parameters(parsed.func, parsed.keywords)
    return parsed()


def _later(function: Callable[..., T]) -> Callable[..., Callable[[], T]]:
    """Return a function with the same parameters that binds them, so that only parsing runs inside tyro."""

    @functools.wraps(function)
    def bind(*arguments: Any, **options: Any) -> Callable[[], T]:
        return functools.partial(function, *arguments, **options)

    return bind
