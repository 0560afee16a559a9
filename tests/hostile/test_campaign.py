"""Small campaigns; `make hostile` runs the whole."""

from pathlib import Path

import pytest

from tests.hostile.campaign import run_section

SMALL = [("lines", 6)]
LARGER = [("datasets", 25), ("readers", 26), ("runs", 15), ("kills", 4), ("lines", 30)]


@pytest.mark.parametrize(
    ("section", "count"),
    [*SMALL, *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in LARGER)],
)
def test_hostile_input_and_kills_do_no_harm(section: str, count: int, tmp_path: Path) -> None:
    results = list(run_section(section, tmp_path, seed=0, count=count, workers=1))
    assert len(results) == count
    assert [str(result) for result in results if result.is_fault] == []
