"""Lines of metrics.jsonl that were damaged, changed or removed are named, by the report and by a run that goes on."""

import json
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from astra.storage.metrics_file import metrics_line, read_metrics_lines, warn_of_missing_lines

ROWS = [{"update": number, "minutes": 0.5 * number, "train/loss": 2.0**-number} for number in range(1, 6)]
OLDER = [json.dumps(row) for row in ROWS]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(metrics_line(row, number) for number, row in enumerate(ROWS, start=1)))
    return path


def test_what_was_written_is_read_back(path: Path) -> None:
    assert read_metrics_lines(path) == ROWS


def test_lines_of_older_runs_have_no_checksum_and_are_read(path: Path) -> None:
    path.write_text("\n".join([*OLDER[:3], metrics_line(ROWS[3], 4)]))
    assert read_metrics_lines(path) == ROWS[:4]


@pytest.mark.parametrize("cut", [0, 1, 10, 31])
def test_a_last_line_that_was_cut_short_is_left_out_with_a_warning(path: Path, cut: int) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], lines[4][:cut]]))
    if not cut:
        assert read_metrics_lines(path) == ROWS[:4]
        return
    with pytest.warns(UserWarning, match=r"metrics.jsonl ends within line 5"):
        assert read_metrics_lines(path) == ROWS[:4]


@pytest.mark.parametrize(
    "damaged", ['{"upd', "", "[1]", '{"train/loss": 1.0}', '{"update": "2"}', "[" * 100_000, "\xff"]
)
def test_any_other_damaged_line_is_named_and_can_be_replaced(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes("\n".join([OLDER[0], damaged, metrics_line(ROWS[2], 3)]).encode("latin-1"))
    with pytest.raises(ValueError, match=r'metrics.jsonl is damaged at line 2 .*write \{"update": 1\} in the place'):
        read_metrics_lines(path)
    path.write_text("\n".join([OLDER[0], '{"update": 1}', metrics_line(ROWS[2], 3)]))
    assert read_metrics_lines(path) == [ROWS[0], {"update": 1}, ROWS[2]]


def test_no_flipped_bit_changes_a_number_without_a_word(path: Path) -> None:
    whole = path.read_bytes()
    random, refused = np.random.default_rng(0), 0
    for place in random.choice(len(whole) - 1, 150, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_metrics_lines(path)
        except ValueError:
            refused += 1
        else:
            assert [{name: row.get(name) for name in ROWS[0]} for row in found] == ROWS
    assert refused > 100


@pytest.mark.parametrize("order", [[0, 2, 3, 4], [0, 1, 1, 2, 3, 4], [0, 2, 1, 3, 4]], ids=["lost", "twice", "swapped"])
def test_lines_that_were_moved_are_noticed(path: Path, order: list[int]) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[number] for number in order))
    with pytest.raises(ValueError, match=r"was changed after Astra wrote it: line [23] .*remove the entries"):
        read_metrics_lines(path)


def test_an_edit_is_accepted_once_its_checksum_is_removed(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"update": 2, "train/loss": 7.0}', *lines[2:]]))
    assert read_metrics_lines(path)[1]["train/loss"] == 7.0


def test_a_pipe_a_link_to_a_device_and_a_huge_file_are_refused(path: Path) -> None:
    os.truncate(path, 4 * 2**30)
    with pytest.raises(ValueError, match="expected at most"):
        read_metrics_lines(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="not a regular file"):
        read_metrics_lines(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="not a regular file"):
        read_metrics_lines(path)


@pytest.mark.parametrize(
    ("kept", "update", "every", "warned"),
    [(5, 5, 1, False), (4, 5, 1, True), (0, 5, 1, True), (4, 5, 2, False), (5, 7, 5, False), (3, 7, 5, True)],
)
def test_lines_that_are_missing_at_the_end_are_told(kept: int, update: int, every: int, warned: bool) -> None:
    told = pytest.warns(UserWarning, match=r"metrics.jsonl ends at update \d, .* some are missing")
    with told if warned else nullcontext():
        warn_of_missing_lines(ROWS[:kept], Path("metrics.jsonl"), update, every)


@pytest.mark.parametrize("every", [None, 0, "1", True])
def test_nothing_is_told_where_the_configuration_does_not_say_when_lines_are_written(every: object) -> None:
    warn_of_missing_lines([], Path("metrics.jsonl"), 5, every)
