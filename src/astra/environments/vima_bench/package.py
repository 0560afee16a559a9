"""The package of VIMA-Bench, imported as it stands: what it needs from its time is put in its place meanwhile.

It was written for gym 0.21 and imports kornia for a function that nobody calls. While it is imported, `gym` is
gymnasium and `kornia` an empty module; afterwards both names are what they were. Its files stay as they are.
"""

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import gymnasium

INSTALL = (
    "VIMA-Bench is not installed: it lies outside the package registries; docs/vima-bench.md has the commands "
    "(a clone of vimalabs/VIMABench, pybullet and five small packages)"
)


def vima_bench() -> Any:
    """Give the package `vima_bench`.

    Raises:
        ValueError: if it, or a package that it needs, is not installed.
    """
    if "vima_bench" in sys.modules:
        return sys.modules["vima_bench"]
    try:
        with _of_its_time(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            return importlib.import_module("vima_bench")
    except ImportError as error:
        # A module that was imported halfway would pass for a whole one the next time.
        for name in [name for name in sys.modules if name.partition(".")[0] == "vima_bench"]:
            del sys.modules[name]
        raise ValueError(f"{INSTALL}; what failed: {error}") from error


def is_installed() -> bool:
    """Tell whether VIMA-Bench can be imported."""
    try:
        vima_bench()
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _of_its_time() -> Iterator[None]:
    """Let `gym` and `kornia` be found."""
    stand_ins = {"gym": gymnasium, "kornia": ModuleType("kornia")}
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
