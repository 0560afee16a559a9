import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from astra.environments.pusht.environment import AGENT, BLOCK, IMAGE, VISIBLE, Kind, PushT, PushTConfig, observe_state
from astra.environments.pusht.geometry import CENTER, GOAL_POSES, LOWER_RIGHT, keypoints

STATE = [120.0, 80.0, 300.0, 200.0, 1.0]


@pytest.mark.parametrize("kind", ["keypoints", "state", "pixels"])
def test_passes_the_checks_of_gymnasium(kind: Kind) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space")  # actions are in pixels
        warnings.filterwarnings("ignore", message=".*not having a spec")
        check_env(PushTConfig(observation=kind).build())


def test_the_spec_describes_the_observations() -> None:
    for kind in ("keypoints", "state", "pixels"):
        environment = PushTConfig(observation=kind, frame_size=48).build()
        observation, _ = environment.reset(seed=0)
        spec = environment.spec_of_trajectories
        assert {name: value.shape for name, value in observation.items()} == {
            **{name: (size,) for name, size in spec.states.items()},
            **{name: (*size, 3) for name, size in spec.images.items()},
        }


def test_equal_seeds_give_equal_episodes() -> None:
    def episode(environment: PushT) -> np.ndarray:
        environment.reset(seed=3)
        random = np.random.default_rng(0)
        for _ in range(30):
            environment.step(random.uniform(0, 512, 2))
        return environment.state()

    environment = PushTConfig().build()
    assert np.array_equal(episode(environment), episode(environment))
    assert np.array_equal(episode(environment), episode(PushTConfig().build()))


def test_the_t_is_hidden_at_the_same_timesteps_of_equal_seeds() -> None:
    def seen(hidden: float, seed: int) -> list[dict[str, np.ndarray]]:
        environment = PushTConfig(hidden=hidden).build()
        observations = [environment.reset(seed=seed)[0]]
        observations += [environment.step(np.array([256.0, 256.0]))[0] for _ in range(60)]
        assert all(np.array_equal(observations[-1][name], value) for name, value in environment.observe().items())
        return observations

    always, blinking, again, other = seen(0.0, 3), seen(0.5, 3), seen(0.5, 3), seen(0.5, 4)
    flags = [float(each[VISIBLE][0]) for each in blinking]
    assert 0.25 < np.mean(flags) < 0.75
    assert flags == [float(each[VISIBLE][0]) for each in again]
    assert flags != [float(each[VISIBLE][0]) for each in other]
    for flag, hidden, visible in zip(flags, blinking, always, strict=True):
        assert VISIBLE not in visible
        np.testing.assert_array_equal(hidden[BLOCK], flag * visible[BLOCK])
        np.testing.assert_array_equal(hidden[AGENT], visible[AGENT])


def test_pixels_cannot_be_hidden() -> None:
    with pytest.raises(ValueError, match="choose keypoints or state"):
        PushTConfig(observation="pixels", hidden=0.5)


def test_a_policy_that_knows_whether_it_sees_the_t_is_measured_while_the_t_blinks() -> None:
    from astra.environments.pusht.suite import BLINKING, PushTOptions, build, options_for

    for hidden in (0.0, BLINKING):
        options = options_for(build(PushTOptions(hidden=hidden)).spec_of_trajectories)
        assert (options.hidden, options.observation) == (hidden, "keypoints")


def test_steps_as_gym_pusht_does() -> None:
    from gym_pusht.envs.pusht import PushTEnv

    theirs, ours = PushTEnv(obs_type="state"), PushTConfig().build()
    theirs.reset(seed=5)
    observation, _ = ours.reset(seed=5)
    random = np.random.default_rng(1)
    for _ in range(40):
        np.testing.assert_allclose(observation[BLOCK], theirs.get_keypoints(theirs._block_shapes).flatten(), atol=1e-4)
        np.testing.assert_array_equal(observation[AGENT], np.array(theirs.agent.position, dtype=np.float32))
        action = random.uniform(100, 400, 2)
        _, reward, *_ = theirs.step(action)
        observation, our_reward, *_ = ours.step(action)
        assert our_reward == pytest.approx(float(reward))


def test_set_state_is_exact() -> None:
    environment = PushTConfig().build()
    environment.reset(seed=0)
    environment.set_state(STATE)
    np.testing.assert_allclose(environment.state(), STATE, atol=1e-9)
    environment.step(environment.no_op_action())
    np.testing.assert_allclose(environment.state(), STATE, atol=1e-3)


def test_set_state_forgets_earlier_contacts() -> None:
    """Contacts of earlier steps must not affect later ones."""

    def push(environment: PushT) -> np.ndarray:
        environment.set_state([300.0, 180.0, 300.0, 200.0, 0.0])
        for _ in range(5):
            environment.step(np.array([310.0, 260.0]))
        return environment.state()

    environment = PushTConfig().build()
    environment.reset(seed=0)
    first = push(environment)
    assert np.array_equal(first, push(environment))


@pytest.mark.parametrize("name", ["pusht_cchi_v7_lowdim.npz", "pusht_x356_y356_lowdim.npz"])
def test_replays_human_demonstrations(shared_data: Path, name: str) -> None:
    data = np.load(shared_data / "pusht" / name)
    begin = 0
    environment = PushTConfig(max_timesteps=1000).build()
    for end in data["episode_ends"][:1]:
        states, actions = data["state"][begin:end], data["action"][begin:end]
        environment.reset(seed=0, options={"state": states[0]})
        for action, state in zip(actions[:-1], states[1:], strict=True):
            environment.step(action)
            assert np.abs(environment.state()[:4] - state[:4]).max() < 5.0
        begin = end


@pytest.mark.parametrize("goal", [CENTER, LOWER_RIGHT, (150.0, 300.0, -2.0)])
def test_coverage_is_1_at_the_goal_and_low_far_from_it(goal: tuple[float, float, float]) -> None:
    environment = PushTConfig(goal=goal).build()
    _, info = environment.reset(seed=0, options={"state": [20, 20, *goal]})
    assert info["coverage"] == pytest.approx(1.0)
    assert info["is_success"]
    _, info = environment.reset(seed=0, options={"state": [20, 20, goal[0], goal[1], goal[2] + math.pi]})
    assert info["coverage"] < 0.3
    assert not info["is_success"]


def test_a_shift_of_two_pixels_along_the_bar_just_fails() -> None:
    environment = PushTConfig(goal=(256.0, 200.0, 0.0)).build()
    _, info = environment.reset(seed=0, options={"state": [20, 20, 258, 200, 0]})
    missing = 2 * 30 + 2 * 90  # the strips of bar and stem that stick out
    assert info["coverage"] == pytest.approx(1 - missing / (120 * 30 + 30 * 90))
    assert info["scores"] == {"coverage": info["coverage"], "reward": min(info["coverage"] / 0.95, 1.0)}


def test_the_goal_of_an_episode_does_not_carry_over_to_the_next() -> None:
    environment = PushTConfig().build()
    for instruction, goal in GOAL_POSES.items():
        environment.reset(seed=0, options={"goal": goal})
        assert environment.instruction == instruction
        *_, info = environment.step(environment.no_op_action())
        np.testing.assert_allclose(info["goal_pose"], goal)
    environment.reset(seed=0)
    assert environment.goal == CENTER


def test_images_show_the_goal_only_with_draw_goal() -> None:
    pictures = []
    for draw_goal in (False, True):
        environment = PushTConfig(observation="pixels", draw_goal=draw_goal).build()
        for goal in (CENTER, LOWER_RIGHT):
            observation, _ = environment.reset(seed=0, options={"goal": goal})
            pictures.append(observation[IMAGE])
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[2], pictures[3])


def test_frames_show_the_goal() -> None:
    environment = PushTConfig().build()
    environment.reset(seed=0, options={"goal": CENTER})
    first = environment.frame()
    environment.reset(seed=0, options={"goal": LOWER_RIGHT})
    assert first.shape == (384, 384, 3)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, environment.frame())


def test_truncates_after_max_timesteps() -> None:
    environment = PushTConfig(max_timesteps=3).build()
    environment.reset(seed=0)
    ends = [environment.step(environment.no_op_action())[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_observe_state_of_many_states_equals_that_of_each() -> None:
    random = np.random.default_rng(0)
    states = random.uniform(50, 450, (4, 3, 5))
    for kind in ("keypoints", "state"):
        many = observe_state(states, kind)
        for name, values in observe_state(states[2, 1], kind).items():
            np.testing.assert_array_equal(many[name][2, 1], values)
    np.testing.assert_array_equal(observe_state(states)[BLOCK], keypoints(states[..., 2:]).astype(np.float32))


@pytest.mark.parametrize("action", [[1.0], [1.0, math.nan], [[1.0, 2.0]], [math.inf, 0.0]])
def test_refuses_bad_actions(action: list[float]) -> None:
    environment = PushTConfig().build()
    environment.reset(seed=0)
    with pytest.raises(ValueError, match="two finite numbers"):
        environment.step(np.array(action))


def test_refuses_bad_goals_states_and_options() -> None:
    with pytest.raises(ValueError, match="does not fit on the board"):
        PushTConfig(goal=(20.0, 256.0, 0.0)).build()
    environment = PushTConfig().build()
    with pytest.raises(ValueError, match="three finite numbers"):
        environment.reset(seed=0, options={"goal": (1.0, 2.0)})
    with pytest.raises(ValueError, match="five finite numbers"):
        environment.reset(seed=0, options={"state": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="'target'"):
        environment.reset(seed=0, options={"target": CENTER})


def test_a_missing_simulator_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gym_pusht.envs.pusht", None)
    with pytest.raises(ValueError, match=r"pip install '.\[pusht\]'"):
        PushTConfig().build()
