"""One case in a process of its own, forked from one that has imported everything, with limits of time and memory."""

import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.hostile.verdicts import Outcome

TOLD = "told"
"""File in a case's folder with a description of what was done to the input."""
ROOM = 8 * 2**30
"""Address space in bytes that a case may take beyond what its process has at the start, to protect the machine."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One hostile input and its check."""

    name: str
    check: Callable[[Path], Outcome]
    """Function of an empty folder; it runs in a process of its own."""
    seconds: float = 60.0
    """Time limit in seconds of computing; by the clock it is ten times as long, because the machine may be busy."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A case that has ended."""

    outcome: Outcome
    told: str
    """Description of what was done to the input."""
    seconds: float
    megabytes: float
    """Largest resident memory."""


class _Running:
    """A case in its process."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder, self.started = case, folder, time.monotonic()
        for part in ("cache", "temporary", "here"):
            (folder / part).mkdir(parents=True)
        with warnings.catch_warnings():  # newer Pythons warn of threads, of which the child uses none
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process = os.fork()
        if not self.process:
            _work(case, folder)

    def ended(self) -> Ended | None:
        """Return the outcome, or None while the case runs."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        seconds = time.monotonic() - self.started
        if process:
            return self._end(*self._outcome(status), seconds)
        if seconds <= 10 * self.case.seconds and self._computed() <= self.case.seconds:
            return None
        computed = f"{seconds:.0f} s, {self._computed():.0f} s of them computing"
        os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        hang = Outcome(verdict="hang", detail=f"after {computed}; {_tail(self.folder / 'log')}")
        return self._end(hang, 0.0, seconds)

    def _computed(self) -> float:
        """Return the seconds that the process has computed, with its ended children."""
        try:
            fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def _end(self, outcome: Outcome, megabytes: float, seconds: float) -> Ended:
        told = self.folder / TOLD
        text = told.read_text() if told.exists() else ""
        return Ended(outcome=outcome, told=text, seconds=seconds, megabytes=megabytes)

    def _outcome(self, status: int) -> tuple[Outcome, float]:
        """Return the outcome and the largest resident memory."""
        try:
            content = json.loads((self.folder / "outcome.json").read_text())
            return Outcome(**content["outcome"]), content["megabytes"]
        except (OSError, ValueError):
            verdict = "traceback" if os.WIFSIGNALED(status) else "campaign"  # a signal: a library crashed
            return Outcome(verdict=verdict, detail=f"wait status {status}; {_tail(self.folder / 'log')}"), 0.0


def run_all(cases: Sequence[Case], folder: Path, workers: int) -> Iterator[tuple[int, Ended]]:
    """Run cases, `workers` at the same time, and yield the number and the end of each; only faults keep their folder.

    Args:
        cases: the cases.
        folder: folder in which each case gets one of its own.
        workers: number of processes.
    """
    waiting = list(enumerate(cases))[::-1]
    running: dict[int, _Running] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            number, case = waiting.pop()
            running[number] = _Running(case, folder / f"{number:03d}")
        for number, started in list(running.items()):
            if ended := started.ended():
                del running[number]
                if ended.outcome.verdict in ("accepted", "refused"):
                    shutil.rmtree(started.folder, ignore_errors=True)
                yield number, ended
        time.sleep(0.002)


def tell(folder: Path, text: str) -> None:
    """Note what is done to the input of a case."""
    (folder / TOLD).write_text(text)


def aside(damage: Callable[[], str], folder: Path) -> str:
    """Do damage in a process of its own, whose memory does not count, note and return its description.

    Raises:
        RuntimeError: if it fails.
    """
    process = os.fork()
    if not process:
        try:
            tell(folder, damage())
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.waitpid(process, 0)
    if not (folder / TOLD).exists():
        raise RuntimeError("the damage could not be done")
    return (folder / TOLD).read_text()


def in_child(work: Callable[[Path], Outcome], folder: Path) -> Ended:
    """Run a single function of a folder in a process of its own."""
    running = _Running(Case(name="", check=work, seconds=300.0), folder)
    while not (ended := running.ended()):
        time.sleep(0.005)
    return ended


def _work(case: Case, folder: Path) -> None:
    """Run the case in the forked process, which never returns."""
    try:
        os.setsid()
        redirect(folder / "log")
        live_in(folder)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
        warnings.simplefilter("always")
        outcome = case.check(folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # without the process that did the damage
        content = {"outcome": asdict(outcome), "megabytes": peak}
        (folder / "outcome.json").write_text(json.dumps(content))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def redirect(log: Path) -> None:
    """Send what this process prints to a file, also what libraries in C print."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, file), (2, file)):
        os.dup2(source, target)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def live_in(folder: Path) -> None:
    """Keep caches, temporary files and relative paths of this process in a folder."""
    import tempfile

    os.environ |= {"ASTRA_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "temporary"), "COLUMNS": "200"}
    tempfile.tempdir = None
    os.chdir(folder / "here")


def _tail(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-600:]
    except OSError:
        return ""
