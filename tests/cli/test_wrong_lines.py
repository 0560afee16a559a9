"""Wrong command lines: exit code 2, one message, no traceback, nothing written."""

from pathlib import Path

import numpy as np
import pytest

WORDS = (
    *(
        "",
        "-",
        "--",
        "---",
        "=",
        "--=",
        "--x",
        "--no",
        "-x",
        "None",
        "nan",
        "-1",
        "0",
        "1e999",
        "inf",
        "a b",
        "[x]",
        "$",
    ),
    *("--policy", "--policy=", "--policy.actions", "--policy.layers", "--policy.layers=", "--seeds", "--output"),
    *("--output=", "--training.updates", "--training.updates=0.5", "--suite", "--suite=a:b", "--dataset=none", "é"),
    *("../..", "/dev/null", "\n", "{}", "%s", "*", "--resume=yes", "--rows", "--workers", "x" * 5000, "own-data"),
    *("pusht", "train", "lerobot", "mask", "dataset", "table1", "--scale", "--agents", "--episodes", "--format", "xml"),
)
COMMANDS = ("experiments", "train", "evaluate", "compare", "collect", "convert", "inspect", "report", "export")
WITH_NAMES = (
    *(("train", "own-data"), ("train", "tabletop-short", "--policy", "gato"), ("collect", "pusht")),
    *(("convert", "lerobot"), ("convert", "pusht-zarr"), ("inspect", "mask"), ("inspect", "dataset")),
    *(("compare", "table1", "--dry-run"), ("inspect", "checkpoint"), ("benchmark",), ("demo",)),
)


def wrong_lines(number: int) -> list[list[str]]:
    """Return so many command lines of random words, all of which have an unknown flag or name."""
    random = np.random.default_rng(0)
    starts = [*((name,) for name in COMMANDS), *WITH_NAMES, ()]
    lines = []
    for each in range(number):
        words = [str(word) for word in random.choice(WORDS, size=random.integers(0, 5))]
        wrong = random.choice(["--unknown-flag", "--training.nothing=3", "--9", "--policy.wide"])
        lines.append([*starts[each % len(starts)], *words, str(wrong)])
    return lines


@pytest.mark.parametrize("number", [80, pytest.param(200, marks=pytest.mark.slow)])
def test_wrong_lines_exit_with_2_and_one_message(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.cli.main import main

    monkeypatch.chdir(tmp_path)
    failed = []
    for line in wrong_lines(number):
        try:
            code = main(line)
        except SystemExit as stop:
            code = stop.code
        except Exception as error:  # any exception is the failure that is looked for
            code = repr(error)
        error = capsys.readouterr().err
        if code != 2 or not error.startswith("astra: ") or "Traceback" in error:
            failed.append((line, code, error[:200]))
    assert failed == []
    assert list(tmp_path.iterdir()) == []
