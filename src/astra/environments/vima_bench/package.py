"""The external package vima_bench: import it unchanged with current libraries, and keep it quiet.

It was written for gym 0.21, and imports kornia for a function that nothing calls. During the import, `gym` is gymnasium
and `kornia` is an empty module; afterwards both names are restored. The files of the package are not changed.
"""

import contextlib
import importlib
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import gymnasium

from astra.environments.foreign_packages import stand_in_modules

INSTALL = (
    "VIMA-Bench is not installed: it is in no package registry; docs/vima-bench.md has the install commands (a clone "
    "of vimalabs/VIMABench, pybullet and a few small packages)"
)
"""Message for a missing package."""


def vima_bench() -> Any:
    """Return the module `vima_bench`.

    Raises:
        ValueError: if it, or a package that it needs, is not installed.
    """
    if "vima_bench" in sys.modules:
        return sys.modules["vima_bench"]
    stand_ins = stand_in_modules({"gym": gymnasium, "kornia": ModuleType("kornia")})
    try:
        with stand_ins, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            return importlib.import_module("vima_bench")
    except ImportError as error:
        # Remove partly imported modules, which the next import would take for complete ones.
        for name in [name for name in sys.modules if name.partition(".")[0] == "vima_bench"]:
            del sys.modules[name]
        raise ValueError(f"{INSTALL}; the import failed with: {error}") from error


def is_installed() -> bool:
    """Whether VIMA-Bench can be imported."""
    try:
        vima_bench()
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def temporary_files_in(folder: str) -> Iterator[None]:
    """Create temporary files in a folder."""
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before
