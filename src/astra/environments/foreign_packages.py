"""Packages of others that were written for old libraries: import them unchanged, and keep them quiet."""

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def stand_in_modules(stand_ins: Mapping[str, ModuleType]) -> Iterator[None]:
    """Let imports find these modules, and restore all names afterwards.

    Args:
        stand_ins: Module by the name under which it is imported.
    """
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@contextmanager
def quiet(*, errors: bool = False) -> Iterator[None]:
    """Suppress warnings and the standard output, also what is printed from C.

    Args:
        errors: Whether the standard error is suppressed too.
    """
    _flush()
    kept, nowhere = (
        {number: os.dup(number) for number in ((1, 2) if errors else (1,))},
        os.open(os.devnull, os.O_WRONLY),
    )
    try:
        for number in kept:
            os.dup2(nowhere, number)
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        _flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
