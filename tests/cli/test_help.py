"""Help fits 80 columns and says what can be typed."""

import re

import pytest

from astra.cli import convert, inspect, main
from astra.environments import suite_notes

COMMANDS = [
    [],
    *([name] for name in main.COMMANDS),
    *(["cache", name] for name in ("list", "clear")),
    *(["train", name] for name in ("own-data", "pusht-human-19m", "tabletop-contrastive", "pusht-human-continuous")),
    *(["train", "own-data", "--policy", name] for name in ("gato", "vima", "rt1", "diffusion")),
    *(["collect", name] for name in suite_notes()),
    *(["convert", name] for name in convert.FORMATS),
    *(["inspect", name] for name in inspect.THINGS),
    ["compare", "table1"],
]


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    from astra.cli.main import main

    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fits_80_columns_and_shows_no_empty_default(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(capsys, *command, "--help-all" if "train" in command[:-1] else "--help")
    assert text.startswith("usage: astra")
    assert max(map(len, text.splitlines())) <= 80
    assert "(default: )" not in text
    assert "%%" not in text
    assert not re.search(r"\[\[|\]\]\]|\{None", text.replace('"matrix": [[...]]', ""))


def test_help_follows_a_narrow_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, help_of(capsys, "report", "--help").splitlines())) <= 60


def test_training_shows_common_flags_first_and_all_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    few = re.findall(r"^  (--[\w.-]+)", help_of(capsys, "train", "own-data", "--help"), re.MULTILINE)
    every = re.findall(r"^  (--[\w.-]+)", help_of(capsys, "train", "own-data", "--help-all"), re.MULTILINE)
    assert 18 <= len(few) <= 24
    assert set(few) < set(every)
    assert {"--dataset", "--policy", "--policy.actions", "--seeds", "--training.updates"} <= set(few)
    assert len(every) > 60


def test_training_shows_only_flags_that_the_experiment_has(capsys: pytest.CaptureFixture[str]) -> None:
    plain = help_of(capsys, "train", "tabletop-short", "--help-all")
    contrastive = help_of(capsys, "train", "tabletop-contrastive", "--help-all")
    assert "--training.contrastive.negatives" not in plain
    assert "--training.contrastive.negatives" in contrastive
    gato = help_of(capsys, "train", "own-data", "--policy", "gato", "--help-all")
    assert "--policy.action-tokens" in gato
    assert "--policy.chunk-size" not in gato


def test_a_switch_that_is_on_shows_both_of_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(help_of(capsys, "train", "own-data", "--help-all").split())
    assert "--policy.action-queries, --policy.no-action-queries Whether action queries predict actions" in text
    assert "Source: Table 4. (default: on)" in text


def test_arguments_by_position_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert "SOURCES ..." in help_of(capsys, "convert", "lerobot", "--help")
    assert "usage: astra convert pusht-zarr SOURCE DESTINATION" in help_of(capsys, "convert", "pusht-zarr", "--help")
