"""The expert of Franka Kitchen, its waypoints and its demonstrations, where the simulator is installed."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from astra.environments.franka_kitchen.demonstrations import KitchenDemonstrationOptions, demonstrate
from astra.environments.franka_kitchen.environment import ROBOT, FrankaKitchen, KitchenOptions
from astra.environments.franka_kitchen.expert import SITES, KitchenExpert
from astra.environments.franka_kitchen.kinematics import Kinematics, Pose
from astra.environments.franka_kitchen.simulator import JOINTS, is_installed
from astra.environments.franka_kitchen.tasks import TASKS
from astra.environments.franka_kitchen.waypoints import HOME, routines
from astra.environments.spaces import in_bins

pytestmark = [
    pytest.mark.simulator,
    pytest.mark.skipif(not is_installed(), reason="needs Franka Kitchen: pip install '.[kitchen]'"),
]
STEADY = KitchenDemonstrationOptions(perturbation=0.0, jitter=0.0, slowest=0.0, shuffle=0.0, noise=0.0, kicks=0.0)
FAST = {"tasks": ("kettle", "light switch", "slide cabinet", "top burner")}


@pytest.fixture(scope="module")
def kitchen() -> Iterator[FrankaKitchen]:
    made = FrankaKitchen(KitchenOptions())
    yield made
    made.close()


@pytest.mark.parametrize("tasks", [tuple(TASKS)[:4], tuple(TASKS)[3:]])
def test_the_expert_does_every_task(kitchen: FrankaKitchen, tasks: tuple[str, ...]) -> None:
    _, info = kitchen.reset(seed=1, options={"tasks": tasks})
    expert, ended = KitchenExpert(), False
    while not ended:
        _, _, terminated, truncated, info = kitchen.step(expert.act(kitchen))
        ended = terminated or truncated
    assert info["is_success"]
    assert info["done"].keys() == set(tasks)


def test_demonstrations_in_bins_succeed_and_record_the_centers(kitchen: FrankaKitchen) -> None:
    columns = demonstrate(kitchen, FAST, 1, replace(STEADY, bins=51))
    assert columns
    np.testing.assert_allclose(in_bins(columns["action"], 51), columns["action"], atol=1e-6)
    assert len(np.unique(columns["action"])) <= 51
    assert len(columns["action"]) == len(columns[ROBOT])


def test_varied_demonstrations_differ_by_seed_and_are_equal_for_equal_seeds(kitchen: FrankaKitchen) -> None:
    shown = [demonstrate(kitchen, FAST, seed, KitchenDemonstrationOptions()) for seed in (1, 1, 2)]
    first, again, other = (columns for columns in shown if columns is not None)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert np.abs(first[ROBOT][20:60] - other[ROBOT][20:60]).max() > 0.05


def test_a_demonstration_that_takes_too_long_is_dropped(kitchen: FrankaKitchen) -> None:
    assert demonstrate(kitchen, FAST, 1, replace(STEADY, max_timesteps=40)) is None


def test_kinematics_reach_a_pose_and_give_its_direction(kitchen: FrankaKitchen) -> None:
    kitchen.reset(seed=0)
    kinematics = Kinematics(kitchen.simulator)
    pose = Pose(tip=(-0.3, 0.5, 2.2), yaw=10.0, elevation=-10.0)
    _, joints = kinematics.solve(pose, HOME)
    assert np.abs(kinematics.error(joints, pose)).max() < 0.15
    np.testing.assert_allclose(kinematics.tip(joints), pose.tip, atol=2e-3)
    step = 1e-5 * np.eye(JOINTS)
    numeric = np.stack([(kinematics.tip(joints + row) - kinematics.tip(joints)) / 1e-5 for row in step], axis=1)
    np.testing.assert_allclose(kinematics.jacobian(joints)[:3], numeric, atol=1e-3)


def test_the_stored_waypoints_are_those_of_the_handles_and_of_their_joints(kitchen: FrankaKitchen) -> None:
    kitchen.reset(seed=0)
    kinematics = Kinematics(kitchen.simulator)
    for task, routine in routines().items():
        np.testing.assert_allclose(routine.anchor, kitchen.simulator.data.site(SITES[task]).xpos, atol=2e-3)
        for point in routine.waypoints:
            np.testing.assert_allclose(kinematics.tip(point.joints), point.tip, atol=1e-3)


@pytest.mark.slow
def test_the_stored_waypoints_are_those_that_solving_computes() -> None:
    from astra.environments.franka_kitchen.solving import solve

    solved = solve()
    for task, routine in routines().items():
        joints = [point["joints"] for point in solved[task]["waypoints"]]
        np.testing.assert_allclose(np.stack([point.joints for point in routine.waypoints]), joints, atol=2e-3)
