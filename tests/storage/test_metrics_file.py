"""Damaged lines of metrics.jsonl are named, by the report and by a run that goes on."""

from pathlib import Path

import pytest

from astra.storage.metrics_file import read_metrics_lines

LINES = ['{"update": 1, "train/loss": 2.0}', '{"update": 2, "train/loss": 1.0}', '{"update": 3, "train/loss": 0.5}']


@pytest.mark.parametrize("cut", [0, 1, 10, 31])
def test_a_last_line_that_was_cut_short_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([*LINES[:2], LINES[2][:cut]]))
    assert [row["update"] for row in read_metrics_lines(path)] == [1, 2]


@pytest.mark.parametrize(
    "damaged", ['{"upd', "", "[1]", '{"train/loss": 1.0}', '{"update": "2"}', "[" * 100_000, "\xff"]
)
def test_any_other_damaged_line_is_named(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes("\n".join([LINES[0], damaged, LINES[2], ""]).encode("latin-1"))
    with pytest.raises(ValueError, match=r"metrics.jsonl is damaged at line 2 .*remove this line"):
        read_metrics_lines(path)
