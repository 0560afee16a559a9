"""What a table reads of its runs, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def results(tiny_table: ModuleType, tmp_path: Path) -> Path:
    for seed in range(2):
        for row in ("astra", "gato"):
            tiny_table.write_results(tmp_path, row, seed, [True] * 8 + [False] * 2)
            write_losses(tmp_path / row / str(seed), [3.0, 3.1, 3.2])
    return tmp_path


def write_losses(run: Path, losses: list[float], first: int = 0) -> None:
    content = {"episodes": [first + number for number in range(len(losses))], "first_action_loss": losses}
    (run / "held_out.json").write_text(json.dumps(content))


def read(tiny_table: ModuleType, results: Path) -> None:
    """Make the report of a table whose column is the held-out loss."""
    from astra.paper.report import make_report
    from astra.paper.table import Column

    make_report(replace(tiny_table.tiny(), columns=(Column(name="loss", held_out=True),)), "cpu", results)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_losses_that_are_not_finite_give_no_verdict(tiny_table: ModuleType, results: Path, loss: float) -> None:
    write_losses(results / "gato" / "1", [3.0, loss, 3.2])
    with pytest.raises(ValueError, match=r"gato/1/held_out.json has losses that are not finite numbers.*remove .*1"):
        read(tiny_table, results)


def test_a_seed_without_held_out_losses_is_named(tiny_table: ModuleType, results: Path) -> None:
    (results / "gato" / "1" / "held_out.json").unlink()
    with pytest.raises(ValueError, match=r"gato/1/held_out.json does not exist, and other seeds have it"):
        read(tiny_table, results)


def test_a_row_without_any_held_out_losses_is_empty(tiny_table: ModuleType, results: Path) -> None:
    for seed in range(2):
        (results / "astra" / str(seed) / "held_out.json").unlink()
    read(tiny_table, results)


def test_rows_with_other_held_out_episodes_are_not_paired(tiny_table: ModuleType, results: Path) -> None:
    for row in ("astra", "gato"):
        write_losses(results / row / "1", [3.0, 3.1, 3.2], first=10)  # each seed holds out its own
    read(tiny_table, results)
    write_losses(results / "gato" / "1", [3.0, 3.1, 3.2], first=11)
    with pytest.raises(ValueError, match=r"1/held_out.json has other held-out episodes than .*1/held_out.json"):
        read(tiny_table, results)


def test_a_held_out_file_without_a_loss_for_each_episode_is_damaged(tiny_table: ModuleType, results: Path) -> None:
    (results / "gato" / "1" / "held_out.json").write_text(json.dumps({"episodes": [1], "first_action_loss": []}))
    with pytest.raises(ValueError, match=r"gato/1/held_out.json is damaged"):
        read(tiny_table, results)


def test_a_difference_keeps_the_number_of_episodes_of_each_task(tiny_table: ModuleType, tmp_path: Path) -> None:
    from astra.paper.report import make_report

    scores = {"astra": {"easy": 0.75, "hard": 0.25}, "gato": {"easy": 0.25, "hard": 0.25}}
    for row, by_task in scores.items():
        for seed in range(2):
            tiny_table.write_results(tmp_path, row, seed, [True] * 20)
            path = tmp_path / row / str(seed) / "eval_info.json"
            info = json.loads(path.read_text())
            for number, episode in enumerate(info["episodes"]):
                episode["task"] = ("easy", "hard")[number % 2]
                episode["scores"]["coverage"] = by_task[episode["task"]]
            path.write_text(json.dumps(info))
    report = make_report(tiny_table.tiny(), "cpu", tmp_path)
    (cell,) = (c for row in report.cells for c in row if (c.row.key, c.column.name) == ("gato", "score"))
    assert cell.difference is not None
    assert (cell.difference.low, cell.difference.value, cell.difference.high) == pytest.approx((-25, -25, -25))
