"""Commands of Astra inside this process, and the verdict on how they end."""

import contextlib
import io
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from astra.cli.main import UNEXPECTED, main
from tests.hostile.verdicts import ACCEPTED, REFUSED, Outcome
from tests.hostile.watch import Watch

TINY = (
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--training.max-minutes", "None", "--training.batch-size", "4", "--training.threads", "1"),
    *("--training.log-every", "1"),
)
"""Options of a training that takes a fraction of a second."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command that has ended."""

    arguments: tuple[str, ...]
    code: int
    """Exit code; -1 after an exception that left `main`."""
    output: str
    error: str
    """What it wrote to standard error, or the traceback."""

    @property
    def accepted(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0

    @property
    def crashed(self) -> bool:
        """Whether it neither succeeded nor refused in words of its own."""
        found_wrong = self.code == 1 and self.arguments[:2] == ("inspect", "dataset")
        worded = "astra: " in self.error and UNEXPECTED not in self.error
        return (
            (self.code not in (0, 2) and not found_wrong)
            or "Traceback" in self.error
            or (self.code == 2 and not worded)
        )

    @property
    def message(self) -> str:
        """The message of a refusal, without the warnings before it."""
        return self.error[self.error.rfind("astra: ") :] if "astra: " in self.error else self.error

    @property
    def spoke(self) -> bool:
        """Whether it refused, or printed a warning."""
        said = f"{self.error}{self.output}".lower()
        return not self.accepted or "warning: " in said or "note: names of dimensions" in said


def run(*arguments: str) -> Ran:
    """Run one command."""
    output, error = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(error),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else -1
        except BaseException:
            code = -1
            traceback.print_exc()
    told = "".join(f"warning: {each.message}\n" for each in warned if each.category is UserWarning)
    return Ran(arguments=arguments, code=code, output=output.getvalue(), error=told + error.getvalue())


def must(*arguments: str) -> Ran:
    """Run one command that has to succeed.

    Raises:
        RuntimeError: if it does not.
    """
    ran = run(*arguments)
    if not ran.accepted:
        raise RuntimeError(f"{' '.join(arguments)}: exit {ran.code}, {ran.error}")
    return ran


def judge(ran: Sequence[Ran], names: Sequence[str | Path], watch: Watch | None = None) -> Outcome:
    """Return the verdict on commands: a fault, `refused` if any was refused, otherwise `accepted`.

    Args:
        ran: the commands.
        names: what a message must name, one of them.
        watch: watch over this process.
    """
    if watch is not None and watch.seen:
        return Outcome(verdict="escape", detail="; ".join(watch.seen[:3]))
    for each in ran:
        command = " ".join(each.arguments)[:200]
        if each.crashed:
            return Outcome(verdict="traceback", detail=f"{command}: exit {each.code}\n{each.error[-1500:]}")
        if each.code == 2 and "out of memory" in each.message:
            return Outcome(verdict="memory", detail=f"{command}: {each.message[:500]}")
        if each.code == 2 and not any(str(name) in each.message for name in names):
            return Outcome(verdict="vague", detail=f"{command}: {each.message[:500]}")
    return Outcome(verdict=ACCEPTED if all(each.accepted for each in ran) else REFUSED)
