"""Our controller against ManiSkill's, where the package and a Vulkan driver are there."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from astra.environments.maniskill.environment import ManiSkill
from astra.environments.maniskill.package import reason_against
from astra.environments.maniskill.world import ManiSkillOptions

REASON = reason_against()
pytestmark = [pytest.mark.simulator, pytest.mark.skipif(bool(REASON), reason=REASON)]


@pytest.fixture(scope="module")
def world() -> Iterator[ManiSkill]:
    made = ManiSkill(ManiSkillOptions(observation="state"))
    yield made
    made.close()


def targets(agent: Any) -> np.ndarray:
    """Return the targets of all joints, and set them to zero."""
    joints = [joint._objs[0] for part in agent.controller.controllers.values() for joint in part.joints]
    found = np.concatenate([joint.drive_target for joint in joints])
    for joint in joints:
        joint.set_drive_target(0.0)
    return found


@pytest.mark.parametrize("size", [0.1, 1.0])
def test_targets_of_the_joints_are_those_of_maniskill_over_a_random_way(world: ManiSkill, size: float) -> None:
    random = np.random.default_rng(7)
    world.reset(seed=2)
    agent: Any = world.simulator._task.agent
    way = []
    for _ in range(30):
        action = size * random.uniform(-1, 1, 7)
        with warnings.catch_warnings(action="ignore"):
            agent.set_action(torch.tensor(action[None], dtype=torch.float32))
        way.append(targets(agent))
        world.simulator.step(action)
        np.testing.assert_allclose(targets(agent), way[-1], atol=5e-6)
    assert np.ptp(way, axis=0).min() > 0.003


def test_where_there_is_no_solution_the_arm_stays(world: ManiSkill) -> None:
    world.reset(seed=0)
    agent: Any = world.simulator._task.agent
    controller = world.simulator._controller
    controller._model = _Unsolvable()
    world.step(np.array([1.0, 0, 0, 0, 0, 0, 1.0]))
    before = world.simulator.joints
    world.step(np.array([1.0, 0, 0, 0, 0, 0, 1.0]))
    np.testing.assert_allclose(targets(agent)[:7], before[:7], atol=1e-6)


class _Unsolvable:
    def compute_inverse_kinematics(self, *_: Any, **__: Any) -> tuple[np.ndarray, bool, np.ndarray]:
        """Return joints that are not a solution."""
        return np.zeros(9), False, np.zeros(6)
