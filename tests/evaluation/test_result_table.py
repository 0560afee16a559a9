"""Tables of results for the terminal."""

import numpy as np

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.result_table import ALL, group_table


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


def test_without_groups_there_is_no_table() -> None:
    assert group_table({"policy": [result("", "open", success=True)]}) is None
