"""Packages of others are kept quiet, and what they replace comes back."""

import importlib
import os
import sys
from types import ModuleType

import pytest

from astra.environments.foreign_packages import quiet, stand_in_modules


def test_output_of_the_simulator_is_suppressed_and_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(errors=True):
        os.write(1, b"not shown")
        os.write(2, b"not shown")
    os.write(1, b"shown")
    assert capfd.readouterr() == ("shown", "")


def test_only_the_standard_output_is_suppressed_unless_errors_are_too(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(1, b"not shown")
        os.write(2, b"an error")
    assert capfd.readouterr() == ("", "an error")


def test_stand_ins_are_imported_in_the_block_only() -> None:
    before, stand_in = sys.modules["json"], ModuleType("json")
    with stand_in_modules({"json": stand_in, "a_new_name": stand_in}):
        assert sys.modules["json"] is sys.modules["a_new_name"] is stand_in
    assert sys.modules["json"] is before


def test_an_error_in_the_block_restores_the_modules_too() -> None:
    before = sys.modules["json"]
    with (
        pytest.raises(ModuleNotFoundError),
        stand_in_modules({"json": ModuleType("json"), "a_new_name": ModuleType("a")}),
    ):
        importlib.import_module("there_is_no_such_module")
    assert sys.modules["json"] is before
    assert "a_new_name" not in sys.modules
