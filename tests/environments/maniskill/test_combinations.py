"""Combinations, objects, layouts and grasp attempts of ManiSkill, which need no simulator."""

import itertools
import math

import numpy as np
import pytest

from astra.environments.maniskill.attempts import LIFTED, Attempts, distance_to_box
from astra.environments.maniskill.demonstrations import Disturbances, ManiSkillDemonstrationOptions
from astra.environments.maniskill.distractors import misfit
from astra.environments.maniskill.layout import FREE
from astra.environments.maniskill.levels import (
    LEVELS,
    TRAINING,
    UNSEEN,
    combinations,
    combinations_of,
    distractors_of,
    find_combination,
    parse,
)
from astra.environments.maniskill.objects import CONTAINERS, SHAPES, WALL, instruction_for, is_graspable
from astra.environments.maniskill.starts import start_of
from astra.environments.maniskill.suite import SUITE, tasks
from astra.environments.maniskill.world import ManiSkillOptions
from astra.suites.config import EvaluationConfig
from astra.suites.controls import swapped
from astra.suites.evaluate_suite import cases_of


def test_training_has_enough_combinations_and_each_level_adds_what_its_name_says() -> None:
    seen = combinations_of(TRAINING)
    assert len(seen) >= 15
    assert len({each.name for those in combinations().values() for each in those}) >= 34
    words = {part: {getattr(each.target, part) for each in seen} for part in ("shape", "color", "size")}
    pairs = {(each.target.shape, each.target.color) for each in seen}
    sized = {(each.target.shape, each.target.size) for each in seen}
    containers = {each.container for each in seen}
    assert len(CONTAINERS) >= 4
    for level in UNSEEN:
        for each in combinations_of(level):
            target = each.target
            everything = level == "all"
            assert (target.shape not in words["shape"]) == (everything or level == "shape"), each.name
            assert (each.container not in containers) == (everything or level == "container"), each.name
            if level == "color":
                assert (target.shape, target.color) not in pairs
            if level == "size":
                assert (target.shape, target.size) not in sized
                assert (target.shape, target.color) in pairs
            if everything:
                assert target.color not in words["color"]


def test_every_difficulty_is_seen_and_follows_the_paper() -> None:
    by_words = {each.target.words: each.target.difficulty for each in combinations_of(TRAINING)}
    expected = {"red ball": "easy", "yellow bar": "medium", "small red cube": "medium", "blue brick": "hard"}
    assert {words: by_words[words] for words in expected} == expected
    assert by_words["green ruler"] == "hard"
    assert set(SUITE.task_sets) == {"easy", "medium", "hard"}
    seen = {task.name for task in tasks(ManiSkillOptions(), "seen-2-4")}
    assert all(seen & set(names) for names in SUITE.task_sets.values())


def test_every_target_fits_between_the_fingers_and_into_its_container() -> None:
    for each in itertools.chain(*combinations().values()):
        assert is_graspable(each.target), each.name
        assert each.target.radius < CONTAINERS[each.container].radius, each.name
        assert each.container not in SHAPES


def test_a_container_holds_what_lies_in_it_and_not_what_is_above_or_beside_it() -> None:
    for each in itertools.chain(*combinations().values()):
        container, height = CONTAINERS[each.container], float(each.target.half[2])
        for x, z, expected in (
            (0.0, WALL + height, True),
            (0.0, container.height + height + 0.02, False),
            (0.0, -0.01, False),
            (container.radius + 0.01, WALL + height, False),
        ):
            assert container.holds(each.target, np.array([x, 0.0, z])) == expected, (each.name, x, z)


@pytest.mark.parametrize("level", [TRAINING, *LEVELS])
def test_layouts_have_the_distractors_of_their_level_apart_from_each_other(level: str) -> None:
    low, high = distractors_of(level)
    counts = set()
    for seed, combination in enumerate(combinations_of(level) * 3):
        layout = start_of(level, combination.name, seed).layout
        (target, _), *others = layout.objects
        counts.add(len(others))
        assert target == combination.target
        assert len({(each.shape, each.color) for each, _ in layout.objects}) == len(layout.objects)
        places = [(CONTAINERS[combination.container].radius, layout.container)]
        places += [(other.radius, place) for other, place in layout.objects]
        for (first, at), (second, to) in itertools.combinations(places, 2):
            assert math.hypot(at.x - to.x, at.y - to.y) > first + second + FREE["distractor"]
    assert counts == set(range(low, high + 1))


def test_equal_seeds_give_equal_starts_and_disturbances_and_every_task_and_level_has_its_own() -> None:
    def drawn(level: str, task: str, seed: int) -> tuple[float, ...]:
        start = start_of(level, task, seed)
        places = [start.layout.container, start.layout.objects[0][1]]
        disturbed = Disturbances(start.entropy, ManiSkillDemonstrationOptions()).disturb(np.zeros(7), moves_target=True)
        return (*start.layout.joints, *(number for each in places for number in (each.x, each.y)), *disturbed[:3])

    rows = [
        drawn(level, each.name, seed)
        for level in (TRAINING, *LEVELS)
        for each in combinations_of(level)
        for seed in (0, 1)
    ]
    assert rows[:2] == [drawn(TRAINING, combinations_of(TRAINING)[0].name, seed) for seed in (0, 1)]
    for numbers in np.transpose(rows):
        assert len(np.unique(numbers)) == len(rows), "no two starts share a joint, a place or a disturbance"
    counts = {
        tuple(len(start_of(TRAINING, each.name, seed).layout.objects) for seed in range(20))
        for each in combinations_of(TRAINING)
    }
    assert len(counts) == len(combinations_of(TRAINING)), "nor the numbers of distractors"


@pytest.mark.parametrize("level", [TRAINING, *LEVELS])
def test_without_the_instruction_the_target_cannot_be_told_from_distractors(level: str) -> None:
    seen = {each.target for each in combinations_of(TRAINING)}
    for combination in combinations_of(level):
        for seed in range(10):
            objects = [each for each, _ in start_of(level, combination.name, seed).layout.objects]
            fits = [misfit(each, combination.container) for each in objects]
            assert fits.count(fits[0]) >= min(len(objects), 5), "others belong into the container as much"
            assert len({each in seen for each in objects}) == 1, "and they are as new"
            assert len({each.color in {other.color for other in seen} for each in objects}) == 1


def test_the_wrong_instruction_names_a_distractor_of_the_episode_and_the_same_container() -> None:
    for level in LEVELS:
        for task in tasks(ManiSkillOptions(), level):
            config = EvaluationConfig(episodes=1, seed=7)
            (changed,) = swapped(cases_of(SUITE, [(level, task)], config), [(level, task)], config)
            layout = start_of(level, task.name, 7).layout
            told = {instruction_for(each, layout.combination.container) for each, _ in layout.objects[1:]}
            assert changed.instruction != task.goals[0].instruction
            assert changed.instruction in (told or {each.instruction for each in combinations_of(level)})


def test_unknown_levels_tasks_and_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no level 'L1'; its levels are train, color"):
        combinations_of("L1")
    with pytest.raises(ValueError, match="level color has no task 'red-ball-into-bowl'; it has blue-can"):
        find_combination("color", "red-ball-into-bowl")
    for text, message in (
        ("red banana into bowl", "no shape 'banana'"),
        ("pink ball into bowl", "no color 'pink'"),
        ("red ball into hat", "no container 'hat'"),
    ):
        with pytest.raises(ValueError, match=message):
            parse(text)


def note(attempts: Attempts, closes: str, *, lifted_from: int = 99, near: bool = True) -> Attempts:
    """Note timesteps: C closes, o opens; from a timestep on the target is held and lifted."""
    for timestep, letter in enumerate(closes):
        lifted = timestep >= lifted_from
        attempts.note(
            timestep,
            closes=letter == "C",
            near=near,
            held=lifted,
            risen=0.05 if lifted else 0.0,
            ends=timestep == len(closes) - 1,
        )
    return attempts


def test_attempts_begin_where_an_open_gripper_closes_near_the_target() -> None:
    assert note(Attempts(), "oooCCCCoooCCCC", lifted_from=11).begun == [3, 10]
    assert note(Attempts(), "oooCoCoCC").begun == [3], "fingers that barely open belong to the same attempt"
    flickers = note(Attempts(), "oooCoCCCCCo", lifted_from=6)
    assert (flickers.begun, flickers.lifted, flickers.first_failed) == ([3], [True], False)
    assert note(Attempts(), "oooCCCC", near=False).begun == []


def test_the_distance_to_a_box_is_that_to_its_surface() -> None:
    half = np.array([0.05, 0.02, 0.01])
    assert distance_to_box(np.array([0.04, -0.01, 0.0]), half) == 0.0
    assert distance_to_box(np.array([-0.08, 0.06, 0.01]), half) == pytest.approx(0.05)


def test_the_first_attempt_has_failed_if_it_ends_before_the_target_is_lifted() -> None:
    first = note(Attempts(), "oooCCCCoooCCCC", lifted_from=11)
    assert (first.first_failed, first.lifted) == (True, [False, True])
    assert not note(Attempts(), "oooCCCCCCoo", lifted_from=6).first_failed
    assert note(Attempts(), "oooCCCooC", lifted_from=8).lifted == [False, True], "the gripper opened in between"
    assert note(Attempts(), "oooCCCCCC").first_failed, "the episode ended"
    assert not note(Attempts(), "oooooooo").first_failed


@pytest.mark.parametrize("held", [False, True])
def test_a_target_that_is_thrown_up_is_not_lifted(held: bool) -> None:
    attempts = Attempts()
    attempts.note(0, closes=True, near=True, held=held, risen=2 * LIFTED, ends=False)
    assert attempts.lifted == [held]
    attempts.note(1, closes=True, near=True, held=held, risen=0.0, ends=True)
    assert attempts.first_failed == (not held)
