"""The environment, the expert and the demonstrations of ManiSkill, where the package and a Vulkan driver are there."""

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from astra.environments.maniskill.demonstrations import ManiSkillDemonstrationOptions, play
from astra.environments.maniskill.drawing import cameras
from astra.environments.maniskill.environment import ManiSkill
from astra.environments.maniskill.expert import ManiSkillExpert
from astra.environments.maniskill.package import reason_against
from astra.environments.maniskill.suite import options_for
from astra.environments.maniskill.world import BINS, CAMERAS, ROBOT, SCENE, ManiSkillOptions
from astra.environments.recording import play_again
from astra.environments.spaces import in_bins

REASON = reason_against()
pytestmark = [pytest.mark.simulator, pytest.mark.skipif(bool(REASON), reason=REASON)]
EASY = {"level": "seen-0", "task": "red-ball-into-bowl"}
CUBE = {"level": "seen-0", "task": "blue-cube-into-bowl"}
STILL = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def images() -> Iterator[ManiSkill]:
    made = ManiSkill(ManiSkillOptions(frame_size=64))
    yield made
    made.close()


@pytest.fixture(scope="module")
def states() -> Iterator[ManiSkill]:
    made = ManiSkill(ManiSkillOptions(observation="state"))
    yield made
    made.close()


def test_passes_the_checks_of_gymnasium(states: ManiSkill) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not having a spec")
        check_env(states, skip_render_check=True)


def test_equal_seeds_give_equal_episodes_and_pictures_whatever_was_played_before(images: ManiSkill) -> None:
    def played(seed: int, level: str) -> list[np.ndarray]:
        random, seen = np.random.default_rng(0), []
        observation, _ = images.reset(seed=seed, options={"level": level})
        for _ in range(6):
            seen += observation.values()
            observation, *_ = images.step(random.uniform(-1, 1, 7))
        return seen

    first, told = played(3, "seen-6-8"), images.instruction
    other = played(4, "all")
    again = played(3, "seen-6-8")
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert images.instruction == told
    starts = [images.reset(seed=3, options=options)[0][ROBOT] for options in (EASY, CUBE, {**CUBE, "level": "train"})]
    assert len(np.unique(starts, axis=0)) == len(starts), "each task and level has starts of its own"


def test_the_coarse_arm_looks_nearly_like_the_full_one_and_moves_bit_for_bit_alike(
    images: ManiSkill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def played() -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        random, moved = np.random.default_rng(1), []
        observation, _ = images.reset(seed=5, options=CUBE)
        for _ in range(10):
            observation, *_ = images.step(random.uniform(-1, 1, 7))
            moved += [images.simulator.joints, images.simulator.objects[0].point]
        return observation, moved

    coarse, path = played()
    monkeypatch.setattr(cameras, "draw_coarsely", lambda *parts: None)
    full, same = played()
    assert all(np.array_equal(one, two) for one, two in zip(path, same, strict=True))
    apart = {name: np.abs(coarse[name].astype(int) - full[name]).max(axis=2) > 20 for name in CAMERAS}
    assert all(different.mean() < 0.03 for different in apart.values())
    assert apart["observation.images.base"].any()


def test_the_cameras_show_the_target_in_its_color(images: ManiSkill) -> None:
    observation, _ = images.reset(seed=1, options=EASY)
    assert list(observation) == [ROBOT, *CAMERAS]
    picture = observation["observation.images.base"].astype(int)
    assert picture.shape == (64, 64, 3)
    red = (picture[..., 0] > 150) & (picture[..., 1] < 110) & (picture[..., 2] < 110)
    assert 2 <= red.sum() < 100
    assert images.frame().shape == (256, 256, 3)


def test_rotations_turn_the_other_way_and_positions_move_along_the_axes_of_the_base(states: ManiSkill) -> None:
    for axis in range(3):
        states.reset(seed=0, options=EASY)
        before = states.simulator.tip
        for _ in range(4):
            states.step(STILL + 0.5 * np.eye(7)[axis])
        moved = states.simulator.tip.point - before.point
        assert moved[axis] > 0.05
        assert np.abs(np.delete(moved, axis)).max() < 0.02
    states.reset(seed=0, options=EASY)
    before = states.simulator.tip
    for _ in range(5):
        states.step(STILL + np.eye(7)[5])
    turn = states.simulator.tip.turn @ before.turn.T
    assert -0.5 < np.arctan2(turn[1, 0], turn[0, 0]) < -0.1, "plus 1 about z turns clockwise as seen from above"


def test_the_expert_succeeds_through_bins_and_its_success_is_a_target_at_rest_in_the_container(
    states: ManiSkill,
) -> None:
    steady = ManiSkillDemonstrationOptions(observation="state", noise=0.0, kicks=0.0, slips=0.0)
    for level, task in (("seen-2-4", "green-ruler-into-tray"), ("all", "orange-cone-into-plate")):
        recording = play(states, {"level": level, "task": task}, 1, steady, ManiSkillExpert)
        assert recording.succeeded
        assert (len(recording.attempts), recording.first_failed) == (1, False)
        np.testing.assert_allclose(in_bins(recording.actions[:, :6], BINS), recording.actions[:, :6], atol=1e-6)
        simulator = states.simulator
        assert np.linalg.norm((simulator.objects[0].point - simulator.container.point)[:2]) < 0.08
        assert simulator.objects[0].point[2] < 0.08
        assert not simulator.touched


def test_the_expert_of_continuous_actions_is_not_rounded_to_bins(states: ManiSkill) -> None:
    options = ManiSkillDemonstrationOptions(observation="state", bins=0, noise=0.0, kicks=0.0, slips=0.0)
    recording = play(states, CUBE, 1, options, ManiSkillExpert)
    assert recording.succeeded
    assert np.abs(in_bins(recording.actions[:, :6], BINS) - recording.actions[:, :6]).max() > 1e-3


def test_a_slip_makes_the_expert_grasp_again_and_demonstrations_keep_its_own_actions(images: ManiSkill) -> None:
    options = ManiSkillDemonstrationOptions(noise=0.0, kicks=0.0, slips=1.0)
    images.renders = False
    recording = play(images, CUBE, 2, options, ManiSkillExpert)
    images.renders = True
    assert recording.succeeded
    assert len(recording.attempts) >= 2
    assert 1 <= (recording.actions[:, 6] != recording.executed[:, 6]).sum() <= 2
    assert images.attempts.begun == list(recording.attempts)
    shown = play_again(images, CUBE, 2, recording)
    assert shown.columns.keys() == {ROBOT, *CAMERAS, "action"}
    assert all(np.array_equal(shown.columns[name], recording.columns[name]) for name in recording.columns)
    assert len(shown.columns["observation.images.hand"]) == len(recording.actions)


def test_an_episode_begins_with_a_reset_is_truncated_at_its_limit_and_the_no_op_action_keeps_the_hand() -> None:
    short = ManiSkill(ManiSkillOptions(observation="state", max_timesteps=3))
    with pytest.raises(ValueError, match="a step came before the first reset: call reset"):
        short.step(short.no_op_action())
    short.reset(seed=0)
    before = short.simulator.tip.point
    assert [short.step(short.no_op_action())[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    assert np.abs(short.simulator.tip.point - before).max() < 0.01
    short.close()


@pytest.mark.parametrize("action", [[0.0] * 6, [0.0] * 6 + [np.nan], [1.5] + [0.0] * 6, [[0.0] * 7]])
def test_an_action_that_is_not_seven_numbers_from_minus_1_to_1_is_refused(
    states: ManiSkill, action: list[float]
) -> None:
    with pytest.raises(ValueError, match="an action of ManiSkill is seven finite numbers from -1 to 1"):
        states.step(np.array(action))


def test_unknown_reset_options_levels_and_tasks_are_refused(states: ManiSkill) -> None:
    for options, message in (
        ({"goal": 1}, r"reset options 'level' and 'task', got \['goal'\]"),
        ({"level": "L1"}, "no level 'L1'"),
        ({"level": "all", "task": "red-ball-into-bowl"}, "level all has no task 'red-ball-into-bowl'"),
    ):
        with pytest.raises(ValueError, match=message):
            states.reset(seed=0, options=options)


def test_a_policy_gets_the_options_in_which_it_can_act(images: ManiSkill, states: ManiSkill) -> None:
    assert options_for(images.spec_of_trajectories) == ManiSkillOptions(frame_size=64)
    assert options_for(states.spec_of_trajectories) == ManiSkillOptions(observation="state")
    other = replace(states.spec_of_trajectories, states={ROBOT: 3})
    with pytest.raises(ValueError, match="choose another suite by --suite"):
        options_for(other)
    assert SCENE in states.spec_of_trajectories.states
