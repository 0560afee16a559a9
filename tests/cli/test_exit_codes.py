"""The door of the command line: whatever fails behind it becomes one message and an exit code."""

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from pyarrow.lib import ArrowException, ArrowNotImplementedError
from safetensors import SafetensorError

from astra.parallel.interruption import Terminated


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """Run a command that raises an error."""
    from astra.cli.main import main

    def fail(arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("astra.cli.report"), "run", fail)
    return main(["report"])


def test_a_warning_is_one_line_that_names_flags_and_no_place_in_the_source() -> None:
    program = (
        "import importlib, sys, warnings\nfrom astra.cli import main\n"
        "module = importlib.import_module('astra.cli.report')\n"
        "module.run = lambda arguments: warnings.warn('first\\n  second', stacklevel=2)\n"
        "sys.exit(main.main(['report']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "warning: first second\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a/x"), "runs/a/x: the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "runs/a"), "runs/a: the file system is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), "runs/a: permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a"), "a: no such file or directory"),
        (FileExistsError(errno.EEXIST, "File exists", "a"), "a: there is something of this name already"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a"), "a: not a directory"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (ArrowException("page 3 is broken"), "page 3 is broken"),
        (ArrowNotImplementedError("no codec"), "no codec"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (BrokenProcessPool("terminated abruptly"), "fewer --workers"),
        (MemoryError("8 GiB"), "out of memory (8 GiB)"),
    ],
)
def test_errors_of_the_system_and_of_libraries_are_one_message(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, error) == 2
    said = capsys.readouterr().err
    assert said.startswith("astra: ")
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [(KeyboardInterrupt(), 130, "interrupted"), (Terminated("stopped by SIGTERM"), 143, "stopped by SIGTERM")],
)
def test_ctrl_c_and_sigterm_have_their_own_codes(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert failing(monkeypatch, error) == code
    assert capsys.readouterr().err == f"{message}\n"


def test_an_error_of_the_program_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(monkeypatch, ZeroDivisionError())


def refuse() -> None:
    """Refuse bad input, as any check of Astra does: a configuration's is one of hundreds."""
    from astra.training.config import TrainingConfig

    TrainingConfig(updates=-1)


def stumble() -> None:
    """Make a mistake that Python answers with a ValueError."""
    [0].index(1)


@pytest.mark.parametrize(("command", "own"), [(refuse, True), (stumble, False), (lambda: float("fast"), False)])
def test_a_value_error_that_no_check_of_astra_worded_says_so(
    command: Callable[[], object], own: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    monkeypatch.setattr(importlib.import_module("astra.cli.report"), "run", lambda arguments: command())
    assert main(["report"]) == 2
    assert ("ASTRA_TRACEBACK=1" not in capsys.readouterr().err) == own


@pytest.mark.parametrize("arguments", [["--help"], ["experiments"]])
@pytest.mark.parametrize("output", ["pipe", "/dev/full"])
def test_an_output_that_takes_nothing_is_one_message(arguments: list[str], output: str) -> None:
    if output == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
    elif Path(output).exists():
        writing = os.open(output, os.O_WRONLY)
    else:
        pytest.skip("needs /dev/full")
    command = [sys.executable, "-m", "astra", *arguments]
    finished = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert finished.stderr.startswith("astra: ")
