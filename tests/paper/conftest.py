"""The table that the tests of comparisons share."""

import importlib
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def world() -> ModuleType:
    """`tiny_table`, imported when the shape checks are on."""
    return importlib.import_module("tests.paper.tiny_table")
