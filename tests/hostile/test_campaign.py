"""A small campaign: 25 datasets, 15 run folders, 4 kills and 30 command lines; `make hostile` runs the whole."""

from pathlib import Path

import pytest

from tests.hostile.campaign import run_section


@pytest.mark.parametrize(("section", "count"), [("datasets", 25), ("runs", 15), ("kills", 4), ("lines", 30)])
def test_hostile_input_and_kills_do_no_harm(section: str, count: int, tmp_path: Path) -> None:
    results = list(run_section(section, tmp_path, seed=0, count=count, workers=1))
    assert len(results) == count
    assert [str(result) for result in results if result.is_fault] == []
