"""Wrong command lines: every flag of every command with values that cannot be right, or with absurd numbers."""

import re
from functools import partial
from pathlib import Path
from random import Random

from tests.hostile.commands import TINY, must, run
from tests.hostile.isolation import Case
from tests.hostile.verdicts import ACCEPTED, REFUSED, Outcome

WRONG = {
    "INT": ("x", "1.5", "nan", "", "1e3", "-7777777", "9" * 30, "0x10", "1 2"),
    "FLOAT": ("x", "nan", "inf", "-inf", "", "-7777777", "1,5", "1e999"),
    "PATH": ("/dev/null/x", "x" * 5000),
    "{": ("zzz", "", "None,", "True"),
}
"""Values that cannot be right, by the kind of value that --help shows."""
ABSURD = ("70000", "99999999", "999999999")
"""Numbers that are far beyond any use; each is refused, or does no harm."""
LENGTHS = (
    *("--training.updates", "--episodes", "--max-timesteps", "--rollouts.episodes", "--batches", "--seed"),
    *("--training.max-minutes", "--minutes"),
)
"""Flags that say how much work is to be done, which may rightly be endless, and labels."""
UNUSED_PATHS = ("train tabletop-short", "compare table1", "report")
"""Commands that end before they use a path: demonstrations without objects, a plan, a run without an evaluation."""
SMALL = (*TINY, "--training.updates", "1", "--training.checkpoint-every", "1", "--training.validation-every", "1")


def prepare(folder: Path) -> Outcome:
    """Write the demonstrations and the run on which commands work, and list the flags of all commands."""
    from tests.cli.test_pipeline import write_demonstrations

    data = write_demonstrations(folder / "data")
    must("train", "pusht-expert", "--dataset", str(data), "--output", str(folder / "run"), *SMALL)
    lines = []
    for name in _commands(folder):
        wanted = "--help-all" if name.startswith("train") else "--help"
        kinds = flags(must(*name.split(), wanted).output)
        lines += [f"{name}\t{flag}\t{kind}" for flag, kind in kinds if kind != "PATH" or name not in UNUSED_PATHS]
    (folder / "flags").write_text("\n".join(lines))
    return Outcome(verdict=ACCEPTED)


def _commands(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return every command that is tried, with its positional arguments and then the options that it needs."""
    data, run_folder = str(folder / "data"), str(folder / "run")
    return {
        "train own-data": ("--dataset", data, "--output", "out", *SMALL),
        "train tabletop-short": ("--dataset", data, "--output", "out", *SMALL),
        "evaluate": (run_folder, "--episodes", "1", "--suite", "pusht", "--videos", "0", "--output", "out"),
        "report": (run_folder, "--held-out", "0"),
        "inspect mask": ("--prompt", "1", "--states", "1", "--actions", "1", "--timesteps", "1"),
        "inspect open-loop": (run_folder,),
        "collect pusht": ("--episodes", "1", "--output", "out", "--workers", "1"),
        "convert lerobot": (data, "--output", "out"),
        "compare table1": ("--dry-run",),
        "export": (run_folder, "--output", "out"),
    }


def flags(text: str) -> list[tuple[str, str]]:
    """Return the flags that a help lists and the kind of their values: INT, FLOAT, PATH or { for a choice."""
    found = re.findall(
        r"^ {0,4}(?:-\w, )?(--[a-z][\w.-]+)[ =]+\[?\s?(?:\{None\}\|)?(INT|FLOAT|PATH|\{)", text, re.MULTILINE
    )
    return list(dict.fromkeys(found))


def cases(prepared: Path, seed: int, count: int) -> list[Case]:
    """Return so many wrong command lines."""
    known = [line.split("\t") for line in (prepared / "flags").read_text().splitlines()]
    made = []
    for number in range(count):
        random = Random(f"{seed} lines {number}")
        absurd = number % 4 == 3
        command, flag, kind = random.choice([each for each in known if not absurd or _can_be_absurd(*each)])
        value = random.choice(ABSURD if absurd else WRONG[kind])
        check = partial(_check, prepared, command, flag, value, absurd)
        made.append(Case(name=f"{command} {flag}={value!r:.30}", check=check))
    return made


def _can_be_absurd(command: str, flag: str, kind: str) -> bool:
    return kind == "INT" and flag not in LENGTHS and command != "train tabletop-short"  # which is refused anyway


def _check(prepared: Path, command: str, flag: str, value: str, absurd: bool, folder: Path) -> Outcome:
    """Run a wrong command line; it must be refused by a message that names the flag, or for a path its value.

    An absurd number may also be accepted, if the command then ends in time.
    """
    ran = run(*command.split(), *_commands(prepared)[command], f"{flag}={value}")
    told = f"exit {ran.code}, {ran.message[:800]}"
    if ran.crashed:
        return Outcome(verdict="traceback", detail=f"{told}\n{ran.error[-1500:]}")
    if ran.accepted:
        return Outcome(verdict=ACCEPTED) if absurd else Outcome(verdict="difference", detail="accepted")
    if flag not in ran.message and not (value in WRONG["PATH"] and value[:9] in ran.message):
        return Outcome(verdict="vague", detail=told)
    if left := [path.name for path in Path.cwd().iterdir()]:
        return Outcome(verdict="leftover", detail=f"{left} after {told}")
    return Outcome(verdict=REFUSED)
