"""The world that the tests of evaluation share."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def world() -> Iterator[ModuleType]:
    """`line_world`, imported by its name, so that worker processes can import it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield importlib.import_module("line_world")
