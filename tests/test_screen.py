"""Names reach the terminal as they are, whatever brackets, colons or dollar signs they have."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

NAMES = ("action[x]", "[bold]", "observation[/]", ":smile:", "[red]a[/red]", "cost $5", "half $x")


def test_a_table_shows_every_name_as_it_is() -> None:
    from astra.screen import screen

    console = screen()
    console.file = io.StringIO()
    table = Table("name")
    for name in NAMES:
        table.add_row(name)
    console.print(table)
    console.print(*NAMES)
    assert all(console.file.getvalue().count(name) >= 2 for name in NAMES)


@pytest.mark.parametrize("columns", [None, "60"])
def test_facts_lose_nothing_on_narrow_screens_and_in_pipes(
    columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.inspecting.facts import print_facts

    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("FORCE_COLOR", "1")
    checksum, instruction = "0123456789abcdef" * 4, "push the T to the lower right, and then to the center " * 3
    print_facts([("SHA-256 of all 6 files", checksum), (f"instruction {instruction}", "3"), ("two", "1\n2")])
    lines = capsys.readouterr().out.splitlines()
    if columns is None:
        assert [line.split() for line in lines] == [
            ["SHA-256", "of", "all", "6", "files", checksum],
            ["instruction", *instruction.split(), "3"],
            ["two", "1"],
            ["2"],
        ]
        assert all(line == line.rstrip() for line in lines)
    else:
        assert max(map(len, lines)) <= int(columns)
        assert "".join(line.split()[-1] for line in lines[:3]) == checksum


def test_a_table_in_a_pipe_is_as_wide_as_its_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.screen import screen

    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("dataset", "size")
    table.add_row("/a/folder/" * 30, "2 MB")
    screen().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert any("/a/folder/" * 30 in line and "2 MB" in line for line in lines)
    assert max(map(len, lines)) < 330


def test_there_is_one_console(repository: Path) -> None:
    sources = {path.name: path.read_text() for path in (repository / "src" / "astra").rglob("*.py")}
    assert [name for name, text in sources.items() if "Console(" in text] == ["screen.py"]


@pytest.mark.parametrize("name", NAMES)
def test_titles_and_labels_of_pictures_may_have_dollar_signs(name: str) -> None:
    from astra.evaluation.pictures.plots import result_bars
    from astra.evaluation.pictures.style import png
    from astra.evaluation.pictures.videos import film_strip
    from astra.evaluation.success import Estimate, Summary

    frames = [np.zeros((8, 8, 3), np.uint8)] * 2
    assert png(film_strip(frames, title=rf"{name} and \frac $_ {name}"))
    one = Estimate(value=0.5, low=0.4, high=0.6)
    summary = Summary(episodes=3, success=one, scores={f"{name} $_{{ $": one}, mean_timesteps=2.0)
    assert png(result_bars({f"{name} $^ $": summary}))
