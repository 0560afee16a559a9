"""Columns over some episodes only: those with a miss, and those with several attempts."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def results(tiny_table: ModuleType, tmp_path: Path) -> Path:
    for seed in range(3):
        tiny_table.write_results(tmp_path, "astra", seed, [True] * 8 + [False] * 2)
        tiny_table.write_results(tmp_path, "gato", seed, [True] * 4 + [False] * 6)
    return tmp_path


def mark_missed(results: Path, row: str, missed: dict[int, tuple[int, ...]]) -> None:
    """Mark episodes as those in which an action missed, by training seed."""
    for seed, numbers in missed.items():
        path = results / row / str(seed) / "eval_info.json"
        info = json.loads(path.read_text())
        for number, episode in enumerate(info["episodes"]):
            episode["missed"] = number in numbers
        path.write_text(json.dumps(info))


def recovery(tiny_table: ModuleType, results: Path, *questions: Any) -> Any:
    """Return the report of a table whose column is recovery."""
    from astra.paper.report import make_report
    from astra.paper.table import RECOVERY, Column

    columns = (Column(name="recovery", score=RECOVERY),)
    return make_report(replace(tiny_table.tiny(), columns=columns, questions=questions), "cpu", results)


def cell_of(report: Any, row: str) -> Any:
    return next(cells[0] for cells in report.cells if cells[0].row.key == row)


def test_recovery_counts_the_episodes_with_a_miss_of_all_seeds(tiny_table: ModuleType, results: Path) -> None:
    mark_missed(results, "gato", dict.fromkeys(range(3), (0, 9)))
    report = recovery(tiny_table, results)
    gato = cell_of(report, "gato")
    assert (gato.ours.value, gato.episodes, gato.difference) == (50, 6, None)
    assert cell_of(report, "astra").ours is None


def test_each_episode_with_a_miss_weighs_equally_and_the_table_shows_seeds_and_episodes(
    tiny_table: ModuleType, results: Path
) -> None:
    from astra.paper.rendering import markdown

    mark_missed(results, "gato", {0: (0,), 1: (4, 5, 6, 7, 8), 2: ()})
    report = recovery(tiny_table, results)
    gato = cell_of(report, "gato")
    assert (gato.ours.value, gato.episodes, gato.seeds) == (pytest.approx(100 / 6), 6, (0, 1))
    assert "| Gato | 2 | 16.7 [" in markdown(report, "")
    assert "] (6 episodes, 2 seeds) |" in markdown(report, "")


def test_few_misses_that_end_alike_have_a_wide_interval_and_decide_nothing_alone(
    tiny_table: ModuleType, results: Path
) -> None:
    from astra.evaluation.success import wilson_interval
    from astra.paper.rendering import decisions
    from astra.paper.table import Question

    question = Question(text="Does it recover?", row="gato", column="recovery", difference=False, at_least=50.0)
    mark_missed(results, "gato", {0: (0,), 1: (1,), 2: (2,)})
    report = recovery(tiny_table, results, question)
    ours = cell_of(report, "gato").ours
    assert (ours.value, ours.low) == (100, pytest.approx(100 * wilson_interval(3, 3).low))
    assert decisions(report)[0][-1] == "yes, but the interval holds the bound"
    mark_missed(results, "gato", {0: (9,), 1: (8,), 2: (7,)})
    report = recovery(tiny_table, results, question)
    ours = cell_of(report, "gato").ours
    assert (ours.value, ours.high) == (0, pytest.approx(100 * wilson_interval(0, 3).high))
    assert decisions(report)[0][-1] == "no, but the interval holds the bound"


def test_a_table_and_an_evaluation_of_all_seeds_agree(tiny_table: ModuleType, tmp_path: Path) -> None:
    from astra.evaluation.seeds import over_seeds
    from astra.paper.report import make_report
    from astra.paper.table import ATTEMPTS, BETWEEN, RECOVERY, Column

    words = {"instruction": "push", "environment_instruction": "push", "timesteps": 60, "max_reward": 1.0}
    infos = {}
    for seed in range(3):
        tiny_table.write_results(tmp_path, "astra", seed, [number % 3 > 0 for number in range(12)])
        path = tmp_path / "astra" / str(seed) / "eval_info.json"
        info = json.loads(path.read_text())
        for number, episode in enumerate(info["episodes"]):
            tries = 1 + (number + seed) % 3
            episode |= words | {"sum_reward": 1.0, "episode": number, "group": "ab"[number % 2]}
            episode |= {"attempts": [(5 + seed) * each for each in range(tries)], "missed": tries > 1}
        path.write_text(json.dumps(info))
        infos[seed] = info | {"agent": "policy", "overall": {"eval_s": 1.0}}
    columns = (
        Column(name="recovery", score=RECOVERY, scale=100.0),
        Column(name="attempts", score=ATTEMPTS, scale=1.0),
        Column(name="between", score=BETWEEN, scale=1.0),
    )
    report = make_report(replace(tiny_table.tiny(), columns=columns), "cpu", tmp_path)
    (cells,) = (row for row in report.cells if row[0].row.key == "astra")
    together = over_seeds(infos)["overall"]["intervals"]
    names = ("recovery", "attempts", "between_attempts")
    for cell, name, scale in zip(cells, names, (100, 1, 1), strict=True):
        assert cell.ours is not None
        expected = [scale * together[name][end] for end in ("value", "low", "high")]
        assert [cell.ours.value, cell.ours.low, cell.ours.high] == pytest.approx(expected), name


def test_columns_may_count_attempts_and_the_episodes_of_some_tasks_only(tiny_table: ModuleType, tmp_path: Path) -> None:
    from astra.paper.report import make_report
    from astra.paper.table import ATTEMPTS, BETWEEN, RECOVERY, Column

    tiny_table.write_results(tmp_path, "astra", 0, [True, True, False, False])
    path = tmp_path / "astra" / "0" / "eval_info.json"
    info = json.loads(path.read_text())
    changes = [("ball", [5]), ("cube", [5, 15, 29]), ("cube", []), ("cube", [4, 12])]
    for episode, (task, attempts) in zip(info["episodes"], changes, strict=True):
        episode |= {"task": task, "attempts": attempts, "missed": len(attempts) > 1}
    path.write_text(json.dumps(info))
    columns = (
        Column(name="cubes", tasks=("cube",)),
        Column(name="attempts", score=ATTEMPTS, scale=1.0),
        Column(name="between", score=BETWEEN, scale=1.0),
        Column(name="recovery", score=RECOVERY),
        Column(name="between grasps of balls", tasks=("ball",), score=BETWEEN, scale=1.0),
    )
    report = make_report(replace(tiny_table.tiny(), columns=columns), "cpu", tmp_path)
    (cells,) = (row for row in report.cells if row[0].row.key == "astra")
    assert [cell.ours and round(cell.ours.value, 3) for cell in cells] == [33.333, 1.5, 10.0, 50.0, None]
    assert [cell.episodes for cell in cells] == [3, 4, 2, 2, 0]
