"""The tiny table that these tests share."""

import importlib
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def tiny_table() -> ModuleType:
    """Import `tiny_table` when the shape checks are on."""
    return importlib.import_module("tests.paper.tiny_table")
