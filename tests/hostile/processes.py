"""Commands of Astra in processes that are killed, and what is left of these processes."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.isolation import live_in, redirect

GRACE = 5.0
"""Seconds within which all processes of a killed command must have ended."""
PATIENCE = 900.0
"""Seconds after which a command that is not killed counts as hanging."""


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A command that has ended, by itself or by a signal."""

    code: int
    """Exit code, or the negative number of the signal that ended it."""
    log: str
    orphans: tuple[str, ...]
    """Processes of its session that live on."""
    seconds: float


def run_and_kill(
    arguments: list[str],
    folder: Path,
    delay: float | None,
    number: int = signal.SIGKILL,
    before: Callable[[], None] | None = None,
) -> Killed:
    """Run a command in a forked process with a session of its own, and send it a signal.

    Args:
        arguments: the command.
        folder: folder for caches and the log.
        delay: seconds until the signal; None: the command is left to end.
        number: the signal.
        before: function to call in the process first.
    """
    log = folder / "log"
    start = log.stat().st_size if log.exists() else 0
    started = time.monotonic()
    process = os.fork()
    if not process:
        _command(arguments, folder, before)
    code = None if delay is None else _wait(process, delay)
    if code is None and delay is not None:
        os.kill(process, number)
    if code is None and (code := _wait(process, PATIENCE)) is None:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        code = -signal.SIGALRM
    seconds = time.monotonic() - started
    until = time.monotonic() + GRACE
    while (orphans := _of_session(process)) and time.monotonic() < until:
        time.sleep(0.05)
    for orphan in orphans:
        os.kill(orphan, signal.SIGKILL)
    named = tuple(f"{orphan}" for orphan in orphans)
    return Killed(code=code, log=log.read_text(errors="replace")[start:], orphans=named, seconds=seconds)


def _wait(process: int, seconds: float) -> int | None:
    """Wait for a process to end and return its code; None: it still runs."""
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.002)


def _command(arguments: list[str], folder: Path, before: Callable[[], None] | None) -> None:
    """Run the command as `astra` would, in the forked process, which never returns."""
    code = 1
    try:
        os.setsid()
        redirect(folder / "log")
        live_in(folder)
        import astra.__main__ as entry
        from astra.cli.main import main

        sys.modules["__main__"] = entry  # workers import what they think is the program
        if before is not None:
            before()
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _of_session(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(status.parent.name))
    return found
