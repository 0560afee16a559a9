"""ManiSkill's own tasks: starts, success, expert and demonstrations, where the package and a driver are there."""

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from astra.environments.maniskill.demonstrations import ManiSkillDemonstrationOptions, play
from astra.environments.maniskill.package import reason_against
from astra.environments.maniskill.world import CAMERAS, ManiSkillOptions
from astra.environments.maniskill_tasks.environment import ManiSkillTasks
from astra.environments.maniskill_tasks.expert import OwnTaskExpert
from astra.environments.maniskill_tasks.scenes import TASKS
from astra.environments.maniskill_tasks.suite import options_for

REASON = reason_against()
pytestmark = [pytest.mark.simulator, pytest.mark.skipif(bool(REASON), reason=REASON)]
STEADY = ManiSkillDemonstrationOptions(observation="state", noise=0.0, kicks=0.0, slips=0.0)


@pytest.fixture(scope="module")
def images() -> Iterator[ManiSkillTasks]:
    made = ManiSkillTasks(ManiSkillOptions(frame_size=64))
    yield made
    made.close()


@pytest.fixture(scope="module")
def states() -> Iterator[ManiSkillTasks]:
    made = ManiSkillTasks(ManiSkillOptions(observation="state"))
    yield made
    made.close()


def test_passes_the_checks_of_gymnasium(states: ManiSkillTasks) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not having a spec")
        check_env(states, skip_render_check=True)


@pytest.mark.parametrize("task", TASKS)
def test_equal_seeds_give_equal_episodes_and_pictures_and_other_seeds_other_starts(
    task: str, images: ManiSkillTasks
) -> None:
    def played(seed: int) -> list[np.ndarray]:
        random, seen = np.random.default_rng(0), []
        observation, _ = images.reset(seed=seed, options={"task": task})
        for _ in range(4):
            seen += observation.values()
            observation, *_ = images.step(random.uniform(-1, 1, 7))
        return seen

    first, other, again = played(3), played(4), played(3)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_marker_of_the_goal_is_shown_to_policies(images: ManiSkillTasks) -> None:
    images.reset(seed=0, options={"task": "pick-cube"})
    frame = images.observe()["observation.images.base"].astype(int)
    green = (frame[..., 1] > frame[..., 0] + 60) & (frame[..., 1] > frame[..., 2] + 60)
    assert green.any()
    assert images.observe().keys() >= CAMERAS.keys()


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_succeeds_through_its_bins_and_grasps_again_after_a_slip(task: str, states: ManiSkillTasks) -> None:
    recording = play(states, {"task": task}, 1, STEADY, OwnTaskExpert)
    assert recording.succeeded
    assert len(recording.attempts) == 1
    assert not recording.first_failed
    again = play(states, {"task": task}, 1, replace(STEADY, slips=1.0), OwnTaskExpert)
    assert again.succeeded
    assert len(again.attempts) > 1


def test_an_unknown_task_is_refused_and_a_policy_finds_its_options(
    states: ManiSkillTasks, images: ManiSkillTasks
) -> None:
    with pytest.raises(ValueError, match="there is no task 'fly'; there are pick-cube, stack-cube, place-sphere"):
        states.reset(options={"task": "fly"})
    assert options_for(states.spec_of_trajectories) == ManiSkillOptions(observation="state")
    assert options_for(images.spec_of_trajectories) == ManiSkillOptions(frame_size=64)
