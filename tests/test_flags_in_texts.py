"""Every flag that a page, a docstring or an error message names exists, and no switch has True or False behind it."""

import re
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9._-]*[a-z0-9]")
TRAINED = (
    *(("train", "own-data", "--contrast", "--augment"), ("train", "pusht-human", "--policy.actions", "continuous")),
    *(("train", "own-data", "--policy", policy) for policy in ("diffusion", "gato", "rt1", "flamingo")),
)
OTHERS = {"evaluate", "report", "export", "demo", "benchmark", "cache", "experiments", "view"}
WITH_NAMES = ("collect", "convert", "inspect")
ELSEWHERE = {
    *("--help-all", "--version", "--rollouts", "--field", "--option"),  # words for several flags, and main's own
    *("--shm-size", "--logdir", "--project", "--cpu", "--use_fsdp"),  # docker, trackers, accelerate
    *("--num_processes", "--multi_gpu", "--num_machines", "--mixed_precision", "--dynamo_backend"),  # accelerate
    *("--standalone", "--nproc_per_node", "--head", "--check"),  # torchrun, ray, sha256sum
    *("--always", "--dirty", "--abbrev", "--exclude", "--init", "--no-optional-locks"),  # git
}
"""Flags that belong to no command of Astra."""


def texts() -> dict[Path, str]:
    """Return the code spans of every page, and the whole source."""
    pages = {page: page.read_text() for page in [*(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("*.md")]}
    spans = {page: re.sub(r"```.*?```", "", text, flags=re.DOTALL) for page, text in pages.items()}
    found = {page: "\n".join(re.findall(r"`([^`]+)`", text)) for page, text in spans.items()}
    return found | {path: path.read_text() for path in (REPOSITORY / "src").rglob("*.py")}


@pytest.fixture(scope="module")
def explained() -> str:
    """Return the help of all commands."""
    import contextlib
    import io

    from astra.cli.main import COMMANDS, main

    def help_of(*arguments: str) -> str:
        shown = io.StringIO()
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            sys.exit(main([*arguments, "--help-all"]))
        return shown.getvalue()

    assert {"train", "compare", *OTHERS, *WITH_NAMES} == set(COMMANDS)
    lines = [*TRAINED, ("compare", "table1"), *((command,) for command in OTHERS)]
    for command in WITH_NAMES:
        lines += [(command, name) for name in re.findall(r"^ {2,6}([a-z0-9-]+)  ", help_of(command), re.MULTILINE)]
    return "\n".join(help_of(*line) for line in lines)


def test_every_flag_that_is_named_exists(explained: str) -> None:
    known = set(FLAG.findall(explained)) | ELSEWHERE
    named = {(flag, path.relative_to(REPOSITORY)) for path, text in texts().items() for flag in FLAG.findall(text)}
    assert len(named) > 500
    assert not [each for each in sorted(named) if each[0] not in known]


def test_switches_are_named_without_a_value(explained: str) -> None:
    wrong = [
        (flag, path.relative_to(REPOSITORY))
        for path, text in texts().items()
        for flag in re.findall(r"(--[a-z][a-z0-9.-]+) (?:True|False)\b", text)
        if not re.search(rf"{re.escape(flag)} \S*True", explained)
    ]
    assert not wrong
