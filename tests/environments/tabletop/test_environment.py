import math
import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from astra.environments.tabletop.environment import MAX_OBJECTS, MAX_PICTURED, TASKS, Tabletop, TabletopConfig
from astra.environments.tabletop.goals import PlacementGoals
from astra.environments.tabletop.levels import HELD_OUT_TASKS, TASKS_OF_LEVELS, TRAINING_TASKS, content_of
from astra.objects import check_pictures

EVERY = [(level, task) for level, tasks in TASKS_OF_LEVELS.items() if level != "train" for task in tasks]


def test_passes_the_checks_of_gymnasium() -> None:
    for frames in (False, True):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*symmetric and normalized space")  # actions are in meters
            warnings.filterwarnings("ignore", message=".*not having a spec")
            check_env(TabletopConfig(frames=frames).build())


def test_levels_have_the_tasks_of_vima_bench() -> None:
    assert {level: len(tasks) for level, tasks in TASKS_OF_LEVELS.items()} == {
        "train": 13,
        "L1": 13,
        "L2": 13,
        "L3": 12,
        "L4": 4,
    }
    assert set(TASKS) == set(TRAINING_TASKS) | set(HELD_OUT_TASKS)


def test_equal_seeds_give_bitwise_equal_episodes() -> None:
    def episode(environment: Tabletop, task: str) -> list[np.ndarray]:
        seen, _ = environment.reset(seed=5, options={"task": task})
        pictures = [
            v for views in environment.prompt_pictures.values() for view in views.values() for v in view.values()
        ]
        recorded = [*seen.values(), *pictures]
        for _ in range(environment.max_timesteps):
            action = environment.expert_action()
            seen, _, terminated, truncated, _ = environment.step(action)
            recorded += [action, *seen.values()]
            if terminated or truncated:
                break
        return recorded

    environment = TabletopConfig().build()
    for task in ("visual_manipulation", "rearrange_then_restore", "sweep_without_exceeding"):
        first, again, other = (
            episode(environment, task),
            episode(environment, task),
            episode(TabletopConfig().build(), task),
        )
        assert len(first) == len(again) == len(other)
        assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(first, again, other, strict=True))


def test_training_and_evaluation_show_different_episodes_for_equal_seeds() -> None:
    environment, places = TabletopConfig().build(), []
    for level in ("train", "L1"):
        environment.reset(seed=0, options={"task": "rotate", "level": level})
        places.append([obj.x for obj in environment.setup.objects])
    assert places[0] != places[1]


@pytest.mark.parametrize(("level", "task"), EVERY)
def test_an_episode_contains_only_what_its_level_allows(level: str, task: str) -> None:
    environment, content = TabletopConfig().build(), content_of(level, task)
    for seed in range(2):
        observation, _ = environment.reset(seed=seed, options={"task": task, "level": level})
        objects = environment.setup.objects
        assert len(objects) <= MAX_OBJECTS
        for obj in objects:
            allowed = content.container_textures if obj.fixed else content.object_textures
            assert obj.texture.removeprefix("dark ") in allowed
            if "sweep" not in task:
                assert obj.shape.name in (content.containers if obj.fixed else content.objects)
        for view in ("top", "front"):
            assert observation[f"observation.objects.{view}.valid"].sum() <= len(objects)
        check_pictures(environment.instruction, environment.prompt_pictures)
        shown = [len(views["top"]["valid"]) for views in environment.prompt_pictures.values()]
        assert sum(shown) <= MAX_PICTURED
        assert shown == [len(picture.objects) for picture in environment.setup.pictures.values()]


@pytest.mark.parametrize("task", TRAINING_TASKS)
def test_no_task_is_solved_at_the_start_or_by_the_no_op_action(task: str) -> None:
    environment = TabletopConfig().build()
    for seed in range(2):
        environment.reset(seed=seed, options={"task": task})
        before = [(obj.x, obj.y, obj.angle) for obj in environment.scene.objects]
        *_, info = environment.step(environment.no_op_action())
        assert not info["is_success"]
        assert [(obj.x, obj.y, obj.angle) for obj in environment.scene.objects] == before


@pytest.mark.parametrize(
    "task", ["follow_order", "follow_motion", "rearrange_then_restore", "pick_in_order_then_restore"]
)
def test_the_first_step_alone_never_succeeds(task: str) -> None:
    environment = TabletopConfig(level="L4" if task == "follow_motion" else "L1").build()
    for seed in range(4):
        environment.reset(seed=seed, options={"task": task})
        action = environment.expert_action()
        successes = [environment.step(action)[-1]["is_success"]]
        if environment.setup.goals.check(environment.scene.objects) != "failure":
            successes.append(environment.step(action)[-1]["is_success"])
        assert not any(successes)


def test_placing_a_distractor_fails() -> None:
    environment = TabletopConfig().build()
    environment.reset(seed=0, options={"task": "visual_manipulation"})
    action = environment.expert_action()
    wrong = next(i for i in environment.setup.goals.distractors if not environment.scene.objects[i].fixed)  # pyright: ignore
    action[:2] = environment.scene.objects[wrong].grasp_point()
    *_, terminated, _, info = environment.step(action)
    assert terminated
    assert info["is_failure"]
    assert not info["is_success"]


def test_the_order_of_objects_does_not_reveal_the_target() -> None:
    environment, rows = TabletopConfig().build(), []
    for seed in range(40):
        environment.reset(seed=seed, options={"task": "visual_manipulation"})
        goals = environment.setup.goals
        assert isinstance(goals, PlacementGoals)
        rows.append(environment._object_order.index(goals.stages[0][0].index))
    assert {rows.count(row) > 0 for row in range(6)} == {True}


@pytest.mark.parametrize("task", ["visual_manipulation", "scene_understanding", "novel_noun", "rotate"])
def test_nothing_on_the_table_reveals_the_target(task: str) -> None:
    environment = TabletopConfig().build()
    for seed in range(3):
        environment.reset(seed=seed, options={"task": task})
        objects = [obj for obj in environment.setup.objects if not obj.fixed]
        for one in objects:
            assert sum(one.shape.name == other.shape.name for other in objects) == 2
            assert sum(one.texture == other.texture for other in objects) == 2
            assert sum(one.shape is other.shape and one.texture == other.texture for other in objects) == 1


def test_both_profiles_and_both_textures_have_a_container() -> None:
    environment = TabletopConfig().build()
    environment.reset(seed=0, options={"task": "same_shape"})
    objects = environment.setup.objects
    assert sorted(obj.shape.profile for obj in objects if obj.fixed) == ["circle", "square"]
    assert sorted(obj.shape.profile for obj in objects if not obj.fixed) == ["circle"] * 2 + ["square"] * 2
    environment.reset(seed=0, options={"task": "same_texture", "level": "L4"})
    objects = environment.setup.objects
    assert {sum(one.texture == other.texture for other in objects) for one in objects} == {3}


@pytest.mark.parametrize("action", [[0.0] * 5, [0.5, 0.0, math.nan, 0.5, 0.0, 0.0], [[0.5, 0.0, 0.0, 0.5, 0.0, 0.0]]])
def test_refuses_actions_that_are_not_six_finite_numbers(action: list[float]) -> None:
    environment = TabletopConfig().build()
    environment.reset(seed=0)
    with pytest.raises(ValueError, match="six finite numbers"):
        environment.step(np.array(action))


def test_refuses_actions_outside_the_workspace() -> None:
    environment = TabletopConfig().build()
    environment.reset(seed=0)
    with pytest.raises(ValueError, match=r"y1 = 0.600 lies outside the workspace: expected -0.500 to 0.500"):
        environment.step(np.array([0.5, 0.0, 0.0, 0.5, 0.6, 0.0]))


def test_unknown_tasks_levels_and_options_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no level 'L5'; the levels are train, L1"):
        TabletopConfig(level="L5").build()
    with pytest.raises(ValueError, match="no task 'juggle'; the tasks of L1 are visual_manipulation"):
        TabletopConfig(tasks=("juggle",)).build()
    with pytest.raises(ValueError, match="level L3 has no task 'sweep_without_exceeding'"):
        TabletopConfig(level="L3", tasks=("sweep_without_exceeding",)).build()
    with pytest.raises(ValueError, match="'task' and 'level', got"):
        TabletopConfig().build().reset(seed=0, options={"goal": 1})


def test_a_missing_simulator_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from astra.environments.tabletop import scene as tabletop_scene

    tabletop_scene.require_pymunk.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "pymunk", None)
    with pytest.raises(ValueError, match=r"pip install '.\[tabletop\]'"):
        TabletopConfig().build()
    tabletop_scene.require_pymunk.cache_clear()
