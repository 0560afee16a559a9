"""Levels, tasks and controls of policies whose prompts have pictures."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astra.demonstrations.tabletop import TabletopCollectConfig
from astra.environments.tabletop.environment import FRAMES, TabletopConfig
from astra.environments.vima_bench.environment import VimaBenchConfig
from astra.environments.vima_bench.package import is_installed
from astra.evaluation.agents import ExpertAgent
from astra.evaluation.eval_info import group_rates
from astra.evaluation.rollout import rollout
from astra.suites.config import EvaluationConfig
from astra.suites.pictured_evaluation import blank, cases_of, chosen_cells, prompts_of, shuffled
from astra.suites.tabletop_evaluation import tabletop_world, vima_bench_world, world_of

TASKS = ("rotate", "visual_manipulation")
CONFIG = EvaluationConfig(episodes=3, tasks=TASKS, levels=("L1", "L3"))


def test_every_level_is_measured_in_those_tasks_that_it_has() -> None:
    world = tabletop_world()
    everything = chosen_cells(world, EvaluationConfig())
    assert [sum(level == name for level, _ in everything) for name in ("L1", "L2", "L3", "L4")] == [13, 13, 12, 4]
    some = chosen_cells(world, EvaluationConfig(tasks=("sweep_without_exceeding", "follow_motion")))
    assert some == [("L1", "sweep_without_exceeding"), ("L2", "sweep_without_exceeding"), ("L4", "follow_motion")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"levels": ("L5",)}, "levels L1, L2, L3, L4, not at 'L5'"),
        ({"levels": ("train",)}, "not at 'train'"),
        ({"tasks": ("juggle",)}, "no task 'juggle' at L1, L2, L3, L4; it has visual_manipulation, scene_understanding"),
        ({"tasks": ("rotate",), "levels": ("L4",)}, "no task 'rotate' at L4; it has novel_adj_and_noun"),
        ({"tasks": ("rotate",), "levels": ("L1", "L4")}, "none of the tasks rotate at L4; it has novel_adj_and_noun"),
    ],
)
def test_unknown_levels_and_tasks_are_refused_with_those_that_there_are(
    asked: dict[str, tuple[str, ...]], message: str
) -> None:
    config = EvaluationConfig(levels=asked.get("levels", ()), tasks=asked.get("tasks", ()))
    with pytest.raises(ValueError, match=message):
        chosen_cells(tabletop_world(), config)


def test_seeds_of_evaluation_lie_beyond_those_of_demonstrations_and_levels_draw_other_episodes() -> None:
    cases = cases_of(chosen_cells(tabletop_world(), CONFIG), CONFIG)
    assert min(case.seed for case in cases) >= 100_000 > TabletopCollectConfig(episodes=1, output=Path()).seed
    environment = TabletopConfig().build()
    boxes = []
    for level in ("train", "L1"):
        seen, _ = environment.reset(seed=100_000, options={"level": level, "task": "rotate"})
        boxes.append(seen["observation.objects.top.boxes"])
    assert not np.array_equal(*boxes)


def test_shuffled_cases_show_another_prompt_of_the_same_task_and_blank_ones_show_nothing() -> None:
    world = tabletop_world()
    cases = cases_of(chosen_cells(world, CONFIG), CONFIG)
    prompts = prompts_of(world, cases)
    for number, (case, changed) in enumerate(zip(cases, shuffled(cases, prompts), strict=True)):
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
    world, config = tabletop_world(), EvaluationConfig(episodes=1, tasks=("rotate",), levels=("L1",))
    cases = cases_of(chosen_cells(world, config), config)
    with pytest.raises(ValueError, match="rotate at L1 has no second prompt among 1 episodes"):
        shuffled(cases, prompts_of(world, cases))


def test_a_policy_of_another_world_is_told_what_the_worlds_have() -> None:
    from astra.environments.poses import ACTIONS

    spec = TabletopConfig().build().spec_of_trajectories
    assert world_of(spec).name == "tabletop"
    assert world_of(replace(spec, actions=ACTIONS["quaternion"])).name == "VIMA-Bench"
    with pytest.raises(ValueError, match=r"sees objects in the views \{\}"):
        world_of(replace(spec, objects=None))
    with pytest.raises(ValueError, match=r"the frames \{'observation.images.top': \(9, 9\)\}"):
        world_of(replace(spec, images={"observation.images.top": (9, 9)}))


def test_the_tabletop_shows_frames_where_a_policy_reads_them() -> None:
    spec = TabletopConfig().build().spec_of_trajectories
    assert not world_of(spec).build().spec_of_trajectories.images
    one = {"observation.images.top": FRAMES["observation.images.top"]}
    for images in (FRAMES, one):
        shown = world_of(replace(spec, images=images)).build()
        assert shown.spec_of_trajectories.images == FRAMES
        seen, _ = shown.reset(seed=0, options={"level": "L1", "task": "rotate"})
        assert seen["observation.images.top"].shape == (64, 128, 3)


@pytest.mark.skipif(not is_installed(), reason="VIMA-Bench is not installed")
def test_the_expert_of_vima_bench_solves_tasks_of_two_levels_in_one_environment() -> None:
    world = vima_bench_world("se2", 8)
    config = EvaluationConfig(episodes=1, tasks=("rotate", "sweep_without_touching"), levels=("L2", "L4"))
    cases = cases_of(chosen_cells(world, config), config)
    cases = [type(case)(seed=case.seed, options={**case.options, "expert": True}, group=case.group) for case in cases]
    results = rollout(ExpertAgent(world.make_expert), VimaBenchConfig().build, cases, num_envs=1)
    assert [(result.group, result.task, result.success) for result in results] == [
        ("L2", "rotate", True),
        ("L4", "sweep_without_touching", True),
    ]


def test_rates_of_groups_hold_each_task_and_all_of_a_level() -> None:
    from astra.evaluation.eval_info import eval_info

    world, config = tabletop_world(), EvaluationConfig(episodes=1, tasks=TASKS, levels=("L1", "L2"))
    cases = cases_of(chosen_cells(world, config), config)
    results = rollout(ExpertAgent(world.make_expert), world.build, cases, num_envs=2)
    info = eval_info(results, agent="expert", seconds=1.0, video_paths={})
    assert info["per_group"]["L2"]["n_episodes"] == 2
    rates = group_rates(info)
    assert set(rates) == set(itertools.product(("L1", "L2"), ("all", *TASKS)))
    assert all(rate.value == 1 for rate in rates.values())
