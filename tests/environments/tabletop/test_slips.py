from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from astra.demonstrations.collect import demonstrate
from astra.environments.environment import EnvironmentObservation
from astra.environments.suite import Goal
from astra.environments.tabletop.environment import BONUS_STEPS, TabletopConfig
from astra.environments.tabletop.suite import SUITE, TabletopOptions

Episode = tuple[list[EnvironmentObservation], list[dict[str, bool]], int]
TASKS = ("manipulate_old_neighbor", "pick_in_order_then_restore", "rearrange_then_restore")


def played(slips: float, task: str, seeds: range) -> Iterator[Episode]:
    """Yield the observations and infos of the expert's episodes, and the number of steps without a slip."""
    with closing(TabletopConfig(slips=slips).build()) as environment:
        for seed in seeds:
            seen, infos = [environment.reset(seed=seed, options={"task": task})[0]], []
            for _ in range(environment.max_timesteps):
                observation, _, terminated, truncated, info = environment.step(environment.expert_action())
                seen.append(observation)
                infos.append(info)
                if terminated or truncated:
                    break
            yield seen, infos, environment.max_timesteps - BONUS_STEPS


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_misses_once_and_recovers_with_one_step_more(task: str) -> None:
    for _, infos, steps in played(1.0, task, range(6)):
        assert [info["is_miss"] for info in infos].count(True) == 1
        assert infos[-1]["is_success"]
        assert len(infos) == steps + 1
    for _, infos, steps in played(0.0, task, range(3)):
        assert not any(info["is_miss"] for info in infos)
        assert len(infos) == steps


def test_a_slip_leaves_the_scene_and_the_expert_until_then_as_they_are() -> None:
    pairs = zip(played(0.0, TASKS[0], range(6)), played(1.0, TASKS[0], range(6)), strict=True)
    for (calm, _, _), (slipping, infos, _) in pairs:
        slip = [info["is_miss"] for info in infos].index(True)
        for before, after in zip(calm[: slip + 1], slipping[: slip + 1], strict=True):
            assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_share_of_the_episodes_slips() -> None:
    slipped = [any(info["is_miss"] for info in infos) for _, infos, _ in played(0.3, TASKS[1], range(40))]
    assert 4 <= sum(slipped) <= 20


def test_a_task_that_forbids_a_miss_never_slips() -> None:
    for _, infos, steps in played(1.0, "follow_order", range(5)):
        assert infos[-1]["is_success"]
        assert len(infos) == steps


def test_demonstrations_hold_the_right_action_where_suction_slipped() -> None:
    goal = Goal(reset={"task": "manipulate_old_neighbor", "level": "train"})
    calm, slipping = (demonstrate(SUITE, TabletopOptions(slips=share), goal, 4) for share in (0.0, 1.0))
    assert calm is not None
    assert slipping is not None
    right, actions = calm.columns["action"], slipping.columns["action"]
    assert len(actions) == len(right) + 1
    np.testing.assert_array_equal(actions[0], right[0])
    same = (actions[: len(right)] == right).all(1)
    slip = len(right) - 1 if same.all() else int(same.argmin()) - 1
    assert slip >= 0, "the action at the slip is the expert's, though its effect differs"
    again = demonstrate(SUITE, TabletopOptions(slips=1.0), goal, 4)
    assert again is not None
    np.testing.assert_array_equal(again.columns["action"], actions)


def test_success_after_a_miss_is_counted() -> None:
    from astra.environments.tabletop.expert import TabletopExpert
    from astra.evaluation.agents import ExpertAgent
    from astra.evaluation.episode import Case
    from astra.evaluation.eval_info import eval_info, read_summary
    from astra.evaluation.result_table import recovery_lines
    from astra.evaluation.rollout import rollout

    reset = {"task": "pick_in_order_then_restore", "level": "L1"}
    cases = [Case(seed=seed, options=reset, group="L1") for seed in range(4)]
    for share, missed in ((0.0, 0), (1.0, 4)):
        results = rollout(ExpertAgent(TabletopExpert), TabletopConfig(slips=share).build, cases, num_envs=2)
        summary = read_summary(eval_info(results, agent="expert", seconds=1.0, video_paths={}))
        assert summary.missed == missed
        assert (summary.recovery is None) == (missed == 0)
        assert recovery_lines({"expert": summary}) == (
            [f"expert: success after a miss {summary.recovery}, 4 of 4 episodes"] if missed else []
        )
    assert summary.recovery is not None
    assert summary.recovery.value == 1.0
