"""Tables of results for the terminal."""

import io

import numpy as np
import pytest
from rich.console import Console

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.result_table import ALL, ResultTable, group_table
from astra.evaluation.success import Estimate, Summary


def result(group: str, task: str, *, success: bool) -> EpisodeResult:
    return EpisodeResult(
        seed=0,
        task=task,
        group=group,
        instruction="go",
        environment_instruction="go",
        success=success,
        timesteps=1,
        scores={},
        max_reward=0.0,
        sum_reward=0.0,
        actions=np.zeros((1, 1)),
        fps=1.0,
    )


def test_every_task_has_a_row_and_a_group_of_several_tasks_has_one_for_all_of_them() -> None:
    episodes = [
        result("drawer", "open", success=True),
        result("drawer", "close", success=False),
        result("door", "unlock", success=True),
    ]
    table = group_table({"policy": episodes})
    assert table is not None
    groups, tasks, rates = (list(column.cells) for column in table.columns)
    assert list(zip(groups, tasks, strict=True)) == [
        ("door", "unlock"),
        ("drawer", "close"),
        ("drawer", "open"),
        ("drawer", ALL),
    ]
    assert [str(rate)[:4] for rate in rates] == ["1.00", "0.00", "1.00", "0.50"]


def test_intervals_of_many_agents_lose_no_digit_on_a_narrow_screen() -> None:
    episodes = [result("seen-2-4", f"{number}-small-yellow-bar-into-bowl", success=number > 0) for number in range(3)]
    table = group_table(dict.fromkeys(("policy", "swapped", "blind", "no-op", "expert"), episodes))
    assert table is not None
    console = Console(width=80, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "…" not in printed
    assert printed.count("0.94]") == 5  # two of three, for each agent
    assert all(name in printed for name in ("policy", "swapped", "blind", "no-op", "expert"))


def test_without_groups_there_is_no_table() -> None:
    assert group_table({"policy": [result("", "open", success=True)]}) is None


@pytest.mark.parametrize("width", [80, 200])
def test_agents_and_all_their_numbers_fit_on_the_screen(width: int) -> None:
    share = Estimate(value=0.5, low=0.4, high=0.6)
    scores = ("p1", "p2", "p3", "p4", "mean", "not_named")
    summary = Summary(episodes=50, success=share, scores=dict.fromkeys(scores, share), mean_timesteps=200.0)
    terminal = io.StringIO()
    Console(width=width, file=terminal).print(ResultTable({"policy": summary, "told of another episode": summary}))
    lines = [line.strip() for line in terminal.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if line.startswith(("policy", "told of another episode"))]
    assert len(rows) == 2
    assert sum(line.count(str(share)) for line in lines) == 2 * len((*scores, "success"))
    assert all(name in terminal.getvalue() for name in scores)
