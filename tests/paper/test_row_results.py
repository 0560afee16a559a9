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
