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
