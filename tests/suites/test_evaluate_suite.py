"""Levels, tasks and controls of an evaluation."""

import itertools
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from astra.demonstrations.collect import CollectConfig
from astra.environments.maniskill.suite import SUITE as MANISKILL
from astra.environments.maniskill.world import ManiSkillOptions
from astra.environments.pusht.suite import SUITE as PUSHT
from astra.environments.pusht.suite import PushTOptions
from astra.environments.tabletop.environment import TabletopConfig
from astra.environments.tabletop.suite import SUITE as TABLETOP
from astra.environments.tabletop.suite import TabletopOptions
from astra.environments.vima_bench.package import is_installed
from astra.environments.vima_bench.suite import SUITE as VIMA_BENCH
from astra.environments.vima_bench.suite import VimaBenchOptions
from astra.evaluation.agents import ExpertAgent
from astra.evaluation.episode import Case
from astra.evaluation.eval_info import group_rates
from astra.evaluation.rollout import rollout
from astra.suites.config import EvaluationConfig
from astra.suites.controls import Prompt, blank, prompts_of, shuffled, swapped
from astra.suites.evaluate_suite import _controls, cases_again, cases_of

TASKS = ("rotate", "visual_manipulation")
CONFIG = EvaluationConfig(episodes=3, tasks=TASKS, levels=("L1", "L3"))
OPTIONS = TabletopOptions()
BUILD = partial(TABLETOP.build, OPTIONS)


def tabletop_cases(config: EvaluationConfig) -> tuple[list[Case], list[str]]:
    """Return the cases and the task of each."""
    chosen = TABLETOP.choose(OPTIONS, config.levels, config.tasks)
    return cases_of(TABLETOP, chosen, config), [task.name for _, task in chosen for _ in range(config.episodes)]


def test_seeds_of_evaluation_lie_beyond_those_of_demonstrations_and_levels_draw_other_episodes() -> None:
    cases, _ = tabletop_cases(CONFIG)
    assert min(case.seed for case in cases) >= 100_000 > CollectConfig.seed
    environment = TabletopConfig().build()
    boxes = []
    for level in ("train", "L1"):
        seen, _ = environment.reset(seed=100_000, options={"level": level, "task": "rotate"})
        boxes.append(seen["observation.objects.top.boxes"])
    assert not np.array_equal(*boxes)


def test_goals_take_turns_and_neighboring_episodes_share_a_seed() -> None:
    options = PushTOptions()
    chosen = PUSHT.choose(options)
    config = EvaluationConfig(episodes=5, seed=7)
    cases = cases_of(PUSHT, chosen, config)
    assert [case.seed for case in cases] == [7, 7, 8, 8, 9]
    assert [case.options["goal"] for case in cases] == [options.goals[number % 2] for number in range(5)]
    first, second = (goal.instruction for goal in chosen[0][1].goals)
    assert [case.instruction for case in swapped(cases, chosen, config)] == [second, first, second, first, second]
    one = PUSHT.choose(PushTOptions(goals=options.goals[:1]))
    with pytest.raises(ValueError, match="swapped instructions need two goals"):
        swapped(cases[:1], one, EvaluationConfig(episodes=1))


def test_levels_may_have_other_numbers_of_episodes_and_a_wrong_instruction_may_depend_on_the_seed() -> None:
    config = EvaluationConfig(episodes=3, episodes_at={"seen-0": 1})
    chosen = MANISKILL.choose(ManiSkillOptions(), ("size", "seen-0"))
    cases = cases_of(MANISKILL, chosen, config)
    assert Counter(case.group for case in cases) == {"size": 4 * 3, "seen-0": 18}
    own = {(level, goal.reset["task"]): goal for level, task in chosen for goal in task.goals}
    for case, changed in zip(cases, swapped(cases, chosen, config), strict=True):
        goal = own[case.group, case.options["task"]]
        assert callable(goal.swapped)
        assert changed == replace(case, instruction=goal.swapped(case.seed))
        assert changed.instruction != goal.instruction


def test_a_set_of_tasks_means_those_that_the_chosen_levels_have() -> None:
    for levels in ((), ("seen-2-4",), ("train",), ("size", "color")):
        chosen = MANISKILL.choose(ManiSkillOptions(), levels, ("hard",))
        assert {level for level, _ in chosen} >= set(levels)
        assert {task.name for _, task in chosen} <= set(MANISKILL.task_sets["hard"])
    only_colors = MANISKILL.choose(ManiSkillOptions(), ("size", "color"), ("easy",))
    assert {level for level, _ in only_colors} == {"color"}
    with pytest.raises(ValueError, match="no task of the set 'easy' at size; it has "):
        MANISKILL.choose(ManiSkillOptions(), ("size",), ("easy",))
    with pytest.raises(ValueError, match="no task 'large'"):
        MANISKILL.choose(ManiSkillOptions(), ("seen-2-4",), ("large",))


def test_episodes_of_a_file_are_played_again_as_the_same_cases() -> None:
    for suite, options in ((PUSHT, PushTOptions()), (TABLETOP, OPTIONS)):
        chosen = suite.choose(options)
        config = EvaluationConfig(episodes=2)
        goals = [(level, task, task.goals[n % len(task.goals)]) for level, task in chosen for n in range(2)]
        cases = cases_of(suite, chosen, config)
        rows = [
            {"group": level, "task": task.name, "seed": case.seed, "environment_instruction": goal.instruction}
            for case, (level, task, goal) in zip(cases, goals, strict=True)
        ]
        rows = [{name: value for name, value in row.items() if value or name == "seed"} for row in rows]
        rows = [{"environment_instruction": "known after the reset", **row} for row in rows]
        assert cases_again(suite, options, rows) == cases


def test_shuffled_cases_show_another_prompt_of_the_same_task_and_blank_ones_show_nothing() -> None:
    cases, tasks = tabletop_cases(CONFIG)
    prompts = prompts_of(BUILD, cases)
    for number, (case, changed) in enumerate(zip(cases, shuffled(cases, prompts, tasks), strict=True)):
        assert (changed.seed, changed.options) == (case.seed, case.options)
        (source,) = {n for n, prompt in enumerate(prompts) if prompt.pictures is changed.pictures}
        assert source != number
        assert cases[source].options == case.options
        assert changed.instruction == prompts[source].instruction
    for case, prompt in zip(blank(cases, prompts), prompts, strict=True):
        assert case.instruction is None
        assert case.pictures is not None
        for (_, views), (_, own) in zip(case.pictures.items(), prompt.pictures.items(), strict=True):
            for view, parts in views.items():
                assert not parts["crops"].any()
                assert not parts["boxes"].any()
                assert np.array_equal(parts["valid"], own[view]["valid"])


def test_shuffling_needs_a_second_prompt() -> None:
    cases, tasks = tabletop_cases(EvaluationConfig(episodes=1, tasks=("rotate",), levels=("L1",)))
    with pytest.raises(ValueError, match="rotate at L1 has no second prompt among 1 episodes"):
        shuffled(cases, prompts_of(BUILD, cases), tasks)


@pytest.mark.skipif(not is_installed(), reason="VIMA-Bench is not installed")
def test_the_expert_of_vima_bench_solves_tasks_of_two_levels_in_one_environment() -> None:
    options = VimaBenchOptions()
    chosen = VIMA_BENCH.choose(options, ("L2", "L4"), ("rotate", "sweep_without_touching"))
    cases = cases_of(VIMA_BENCH, chosen, EvaluationConfig(episodes=1))
    cases = [replace(case, options={**case.options, **VIMA_BENCH.expert_reset}) for case in cases]
    assert VIMA_BENCH.make_expert is not None
    results = rollout(ExpertAgent(VIMA_BENCH.make_expert), partial(VIMA_BENCH.build, options), cases, num_envs=1)
    assert [(result.group, result.task, result.success) for result in results] == [
        ("L2", "rotate", True),
        ("L4", "sweep_without_touching", True),
    ]


def test_rates_of_groups_hold_each_task_and_all_of_a_level() -> None:
    from astra.evaluation.eval_info import eval_info

    cases, _ = tabletop_cases(EvaluationConfig(episodes=1, tasks=TASKS, levels=("L1", "L2")))
    assert TABLETOP.make_expert is not None
    results = rollout(ExpertAgent(TABLETOP.make_expert), BUILD, cases, num_envs=2)
    info = eval_info(results, agent="expert", seconds=1.0, video_paths={})
    assert info["per_group"]["L2"]["n_episodes"] == 2
    rates = group_rates(info)
    assert set(rates) == set(itertools.product(("L1", "L2"), ("all", *TASKS)))
    assert all(rate.value == 1 for rate in rates.values())


def test_suites_that_count_the_last_step_say_so_in_their_cases() -> None:
    chosen = PUSHT.choose(PushTOptions())
    for suite, at_end in (
        (replace(PUSHT, success="at any step"), False),
        (replace(PUSHT, success="at the last step"), True),
    ):
        cases = cases_of(suite, chosen, EvaluationConfig(episodes=2))
        assert {case.success_at_end for case in cases} == {at_end}


def test_shuffling_skips_prompts_with_the_same_words_and_pictures() -> None:
    def prompt(number: int) -> Prompt:
        crops = np.full((1, 32, 32, 3), number, np.uint8)
        return Prompt(instruction="put {it}", pictures={"it": {"top": {"crops": crops}}})

    cases = [Case(seed=seed) for seed in range(3)]
    prompts = [prompt(0), prompt(0), prompt(1)]
    shown = []
    for case in shuffled(cases, prompts, ["put"] * 3):
        assert case.pictures is not None
        shown.append(int(case.pictures["it"]["top"]["crops"].max()))
    assert shown == [1, 1, 0]
    with pytest.raises(ValueError, match="no second prompt"):
        shuffled(cases[:2], prompts[:2], ["put"] * 2)


def test_the_experts_cases_have_the_reset_options_of_the_suite() -> None:
    suite, options = replace(PUSHT, expert_reset={"expert": True}), PushTOptions()
    config, chosen = EvaluationConfig(episodes=2), PUSHT.choose(PushTOptions())
    cases = cases_of(suite, chosen, config)
    controls = _controls(suite, options, chosen, config, cases)
    assert [case.options for case in controls["expert"]] == [{**case.options, "expert": True} for case in cases]
    assert not any("expert" in case.options for case in cases)
