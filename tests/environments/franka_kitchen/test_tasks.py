"""What needs no simulator: tasks, versions, options and the suite."""

from dataclasses import replace
from typing import Any

import pytest

from astra.environments.franka_kitchen.environment import ACTIONS, CAMERAS, ROBOT, SIZES, KitchenOptions
from astra.environments.franka_kitchen.simulator import check_versions
from astra.environments.franka_kitchen.suite import SUITE, options_for
from astra.environments.franka_kitchen.tasks import TASKS, choose_tasks, instruction_for
from astra.environments.franka_kitchen.waypoints import HOME, routines
from astra.trajectory import TrajectorySpec

SPEC = TrajectorySpec(states=SIZES, actions=ACTIONS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("kettle", "microwave", "light switch"), "asks for 4 different tasks, got 3: kettle, microwave, light switch"),
        (("kettle", "kettle", "microwave", "light switch"), "asks for 4 different tasks, got 4"),
        ((), "asks for 4 different tasks, got 0: none"),
        (("kettle", "oven", "microwave", "light switch"), "the kitchen has no task 'oven'; it has microwave, kettle"),
    ],
)
def test_unknown_tasks_and_other_numbers_than_four_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_tasks(names)
    if names:
        with pytest.raises(ValueError, match=message):
            KitchenOptions(asked=names)


@pytest.mark.parametrize(
    ("robotics", "mujoco", "message"),
    [
        ("", "3.3.0", "gymnasium-robotics is missing"),
        ("1.4.2", "", "mujoco is missing"),
        ("1.3.1", "3.3.0", "needs gymnasium-robotics 1.4, got 1.3.1"),
        ("1.4.2", "4.0.0", "needs MuJoCo 3.3 to 3.11, got 4.0.0"),
        ("1.4.2", "3.12.0", "needs MuJoCo 3.3 to 3.11, got 3.12.0"),
        ("1.4.2", "3.2.7", "needs MuJoCo 3.3 to 3.11, got 3.2.7"),
    ],
)
def test_a_missing_simulator_or_version_is_refused_with_the_command_that_helps(
    robotics: str, mujoco: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_versions(robotics, mujoco)
    assert "pip install 'gymnasium-robotics==1.4.2' 'mujoco>=3.3,<3.12'" in str(caught.value)
    check_versions("1.4.2", "3.3.0")
    check_versions("1.4.2", "3.11.0")


def test_a_policy_gets_the_observations_that_it_was_trained_on() -> None:
    assert options_for(SPEC) == KitchenOptions()
    images = replace(SPEC, states={ROBOT: 9}, images=dict.fromkeys(CAMERAS, (64, 64)))
    assert options_for(images) == KitchenOptions(observation="images", frame_size=64)
    fixed = tuple(TASKS)[1:5]
    sentence = instruction_for(TASKS[name] for name in fixed)
    assert options_for(replace(SPEC, instructions=(sentence,))) == KitchenOptions(asked=fixed)
    assert options_for(replace(images, instructions=(sentence,))).asked == fixed
    for several in ((sentence, "other words"), ("other words",)):
        assert options_for(replace(SPEC, instructions=several)).asked == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"states": {ROBOT: 9}},
        {"images": dict.fromkeys(CAMERAS, (64, 64))},
        {"states": {ROBOT: 9}, "images": dict.fromkeys(CAMERAS, (64, 48))},
        {"actions": replace(ACTIONS, names=("x",), low=(0.0,), high=(1.0,), binary=(), periodic=())},
    ],
)
def test_a_policy_of_another_robot_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Franka Kitchen offers"):
        options_for(replace(SPEC, **changes))


def test_there_is_one_task_whose_instruction_the_seed_draws() -> None:
    ((_, task),) = SUITE.choose(KitchenOptions())
    assert task.name == "kitchen"
    assert len(task.goals) == 1
    with pytest.raises(ValueError, match="franka-kitchen has no task 'microwave'"):
        SUITE.choose(KitchenOptions(), tasks=("microwave",))


def test_every_task_has_a_routine_within_the_joints_of_the_robot() -> None:
    assert routines().keys() == TASKS.keys()
    for routine in routines().values():
        kinds = [point.kind for point in routine.waypoints]
        assert kinds[0] == "move"
        assert kinds[-1] == "leave"
        assert {"push", "pull"} & set(kinds)
        for point in routine.waypoints:
            assert point.joints.shape == HOME.shape
            assert -3.05 <= point.joints.min() <= point.joints.max() <= 2.85
