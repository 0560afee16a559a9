"""A table of many columns on a narrow screen."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.parametrize("width", [60, 80, 200])
def test_many_columns_are_printed_below_one_another_and_lose_nothing(
    tiny_table: ModuleType,
    tmp_path: Path,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from astra.paper.rendering import print_report
    from astra.paper.report import make_report
    from astra.paper.table import Column

    for row in ("astra", "gato"):
        tiny_table.write_results(tmp_path, row, 0, [True] * 8 + [False] * 2)
    names = [f"column{number:02}" for number in range(12)]
    columns = tuple(Column(name=name, score="coverage") for name in names)
    rows = tuple(replace(row, paper=()) for row in tiny_table.tiny().rows)
    monkeypatch.setenv("COLUMNS", str(width))
    print_report(make_report(replace(tiny_table.tiny(), columns=columns, rows=rows), "cpu", tmp_path))
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("policy") > 3 * (width < 100)
