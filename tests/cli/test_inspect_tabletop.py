import json
from pathlib import Path

import pytest

from astra.cli.main import main


def test_lists_the_tasks_of_a_level_with_their_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "tabletop", "--level", "L4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [
        "novel_adj_and_noun",
        "follow_motion",
        "same_texture",
        "sweep_without_touching",
    ]
    assert "{dragged_obj}: {frame_0} {frame_1} {frame_2}" in lines[1]


def test_measures_the_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "controls.json"
    options = ["--controls", "1", "--level", "L4", "--workers", "1", "--output", str(path)]
    assert main(["inspect", "tabletop", *options]) == 0
    rows = json.loads(path.read_text())
    assert [row["successes"]["expert"] for row in rows] == [1, 1, 1, 1]
    assert [row["successes"]["no-op"] for row in rows] == [0, 0, 0, 0]
    assert "| L4 | all |" in capsys.readouterr().out


def test_options_that_do_not_go_together_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "tabletop", "--output", str(tmp_path / "controls.json")]) == 2
    assert "by --controls" in capsys.readouterr().err


def test_an_unknown_level_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "tabletop", "--level", "L7"]) == 2
    assert "no level 'L7'; the levels are train, L1" in capsys.readouterr().err
