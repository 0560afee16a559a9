"""The environment of CALVIN against the simulator, where the user's clones and its packages are there."""

import importlib
import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from astra.environments.calvin import prefix
from astra.environments.calvin.clones import find_clones
from astra.environments.calvin.environment import CAMERAS, Calvin, CalvinOptions
from astra.environments.calvin.expert import CalvinExpert
from astra.environments.calvin.sampling import read_chains
from astra.environments.calvin.suite import SUITE, options_for
from astra.environments.calvin.tasks import TASKS, initial_worlds
from astra.environments.calvin.vectors import BLOCK_COLUMNS, FIXTURES, ROBOT, SIZES, state_vectors_of
from astra.trajectory import TrajectorySpec


def reason_to_skip() -> str:
    if importlib.util.find_spec("pybullet") is None:
        return "needs pybullet, hydra-core and omegaconf: pip install '.[calvin]' with Python 3.11"
    try:
        find_clones()
    except ValueError as error:
        return f"needs CALVIN's clones, named by CALVIN_ROOT: {error}"
    return ""


pytestmark = [pytest.mark.simulator, pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())]
DOWNWARD = np.array([0.0, 0.1, -0.5, 0.0, 0.0, 0.0, 0.0])
NOTHING = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def calvin() -> Iterator[Calvin]:
    made = Calvin(CalvinOptions())
    yield made
    made.close()


def play(calvin: Calvin, seed: int, timesteps: int = 40) -> list[dict[str, np.ndarray]]:
    """Return the observations of a chain with random actions, the hand moving down to the table."""
    random = np.random.default_rng(seed)
    seen = [calvin.reset(seed=seed)[0]]
    for _ in range(timesteps):
        seen.append(calvin.step((random.uniform(-1, 1, 7) + DOWNWARD).clip(-1, 1))[0])
    return seen


def test_passes_the_checks_of_gymnasium(calvin: Calvin) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not having a spec")
        check_env(calvin, skip_render_check=True)


def test_equal_seeds_give_bitwise_equal_episodes(calvin: Calvin) -> None:
    first = play(calvin, 3)
    play(calvin, 4)
    again = play(calvin, 3)
    assert all(
        np.array_equal(one[name], other[name]) for one, other in zip(first, again, strict=True) for name in SIZES
    )
    assert not np.array_equal(first[-1][BLOCK_COLUMNS["red"]], play(calvin, 5)[-1][BLOCK_COLUMNS["red"]])


def test_seeds_number_the_chains_of_the_protocol(calvin: Calvin) -> None:
    for seed in (100_000, 100_017):
        observation, info = calvin.reset(seed=seed)
        world, names = read_chains()[seed - 100_000]
        assert calvin.names == names
        assert calvin.instruction == calvin.sentences[names[0]][0]
        assert info["scores"] == {**{f"{number} in a row": 0.0 for number in range(1, 6)}, "length": 0.0}
        assert observation.keys() == SIZES.keys()
        assert world >= 0


def test_the_state_names_fixtures_and_blocks_in_one_order(calvin: Calvin) -> None:
    observation, _ = calvin.reset(seed=100_000)
    state, gripper = calvin.simulator.state, calvin.simulator.proprioception[:3]
    joints = {"door": state.slider, "drawer": state.drawer, "button": state.button, "switch": state.switch}
    for name, column in FIXTURES.items():
        np.testing.assert_allclose(observation[column][0], joints[name], atol=1e-6)
        np.testing.assert_allclose(observation[column][1:4] - gripper, observation[column][4:7], atol=1e-6)
    assert observation[FIXTURES["button"]][7] == state.led
    assert observation[FIXTURES["switch"]][7] == state.lightbulb
    for color, column in BLOCK_COLUMNS.items():
        vector = observation[column]
        np.testing.assert_allclose(vector[:3], state.blocks[color][:3], atol=1e-6)
        np.testing.assert_allclose(vector[:3] - gripper, vector[3:6], atol=1e-6)
        assert np.linalg.norm(vector[6:9]) == pytest.approx(1, abs=1e-5)
        assert vector[-1] == pytest.approx(calvin.simulator.block_lengths[color])
    robot = observation[ROBOT]
    np.testing.assert_allclose(robot[:3], gripper, atol=1e-6)
    assert robot[9] == pytest.approx(calvin.simulator.proprioception[6])  # the opening


def test_the_vectors_are_those_of_the_numbers_in_the_dataset(calvin: Calvin) -> None:
    observation, _ = calvin.reset(seed=100_000)
    state = calvin.simulator.scene.get_obs()
    vectors = state_vectors_of(calvin.simulator.proprioception, state, "D")
    assert vectors.keys() == observation.keys() == SIZES.keys()
    for name, vector in vectors.items():
        np.testing.assert_allclose(vector, observation[name], atol=1e-6)


def test_the_gripper_follows_the_sign_of_its_number(calvin: Calvin) -> None:
    for number, expected in {0.01: 1, -0.4: -1, 0.0: -1, 1.0: 1}.items():
        calvin.reset(seed=100_000)
        calvin.step(np.array([0, 0, 0, 0, 0, 0, number]))
        assert calvin.simulator.robot.gripper_action == expected
        assert calvin.no_op_action().tolist() == [0, 0, 0, 0, 0, 0, expected]


@pytest.mark.parametrize(
    "action",
    [np.zeros(6), np.array([2.0, 0, 0, 0, 0, 0, 1]), np.array([np.nan, 0, 0, 0, 0, 0, 1]), np.full(7, -np.inf)],
)
def test_an_action_that_is_out_of_bounds_or_not_finite_is_refused(calvin: Calvin, action: np.ndarray) -> None:
    calvin.reset(seed=100_000)
    with pytest.raises(ValueError, match="seven finite numbers from -1 to 1"):
        calvin.step(action)


def test_a_second_environment_in_the_process_is_refused(calvin: Calvin) -> None:
    with pytest.raises(ValueError, match="one environment per process"):
        Calvin(CalvinOptions())
    play(calvin, 1, timesteps=2)  # the first one goes on


def test_unknown_options_and_tasks_are_named(calvin: Calvin) -> None:
    with pytest.raises(ValueError, match=r"has the reset option 'task', got \['goal'\]"):
        calvin.reset(options={"goal": 1})
    with pytest.raises(ValueError, match="no task 'fly'; it has rotate_red_block_right"):
        calvin.reset(options={"task": "fly"})


def test_an_instruction_that_is_not_done_in_time_ends_the_chain(
    calvin: Calvin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calvin, "options", replace(calvin.options, steps_per_instruction=5))
    calvin.reset(seed=100_000)
    ended = [calvin.step(NOTHING)[2] for _ in range(5)]
    assert ended == [False] * 4 + [True]


def test_the_world_goes_on_when_an_instruction_is_done(calvin: Calvin, monkeypatch: pytest.MonkeyPatch) -> None:
    calvin.reset(seed=100_000)
    first = calvin.instruction
    monkeypatch.setitem(calvin.oracle, calvin.names[0], lambda start, now: True)
    before = calvin.simulator.proprioception
    observation, reward, terminated, _, info = calvin.step(NOTHING)
    assert (reward, terminated, info["is_success"], info["scores"]["length"]) == (1.0, False, False, 1.0)
    assert info["done"] == {calvin.names[0]: 1}
    assert calvin.instruction == calvin.sentences[calvin.names[1]][0] != first
    np.testing.assert_allclose(observation[ROBOT][:3], before[:3], atol=0.01)


@pytest.mark.parametrize("kind", ["pybullet.error", ValueError, IndexError])
def test_an_error_of_the_simulator_counts_what_was_done(
    calvin: Calvin, monkeypatch: pytest.MonkeyPatch, kind: type[Exception] | str
) -> None:
    error = importlib.import_module("pybullet").error if isinstance(kind, str) else kind
    calvin.reset(seed=100_000)
    monkeypatch.setitem(calvin.oracle, calvin.names[0], lambda start, now: True)
    calvin.step(NOTHING)

    def fail(action: np.ndarray) -> None:
        raise error("Not connected to physics server.")

    monkeypatch.setattr(calvin.simulator, "step", fail)
    with pytest.warns(UserWarning, match="simulator failed in chain: .*what was done counts"):
        _, _, terminated, truncated, info = calvin.step(NOTHING)
    assert terminated or truncated
    assert (info["is_success"], info["scores"]["length"], info["scores"]["1 in a row"]) == (False, 1.0, 1.0)


def test_the_oracle_agrees_with_the_reference_while_the_expert_acts(calvin: Calvin) -> None:
    module = importlib.import_module("calvin_env.envs.tasks")
    reference = module.Tasks(find_clones().yaml(tasks=True)["tasks"])
    calvin.reset(seed=100_007)
    moments, told, agreed = (
        [(calvin.simulator.snapshot(), calvin.simulator.reference_info())],
        calvin.instruction,
        set(),
    )
    expert, ended = CalvinExpert(), False
    while not ended and len(moments) < 120:
        *_, ended, _, _ = calvin.step(expert.act(calvin))
        if calvin.instruction != told:
            expert, told = CalvinExpert(), calvin.instruction
        if len(moments) % 10 == 0 or ended:
            now, info = calvin.simulator.snapshot(), calvin.simulator.reference_info()
            for start, start_info in moments[::10]:
                ours = {name for name, check in calvin.oracle.items() if check(start, now)}
                assert ours == reference.get_task_info(start_info, info)
                agreed |= ours
        moments.append((calvin.simulator.snapshot(), calvin.simulator.reference_info()))
    assert agreed


def test_a_task_is_due_after_the_expert_did_others(calvin: Calvin) -> None:
    observation, info = calvin.reset(seed=2, options={"task": "place_in_drawer"})
    assert (calvin.task, calvin.names) == ("place_in_drawer", ("place_in_drawer",))
    held = calvin.simulator.snapshot()
    assert any(block.touches == {held.robot} for block in held.blocks.values())
    again, _ = calvin.reset(seed=2, options={"task": "place_in_drawer"})
    assert all(np.array_equal(observation[name], again[name]) for name in SIZES)
    assert "scores" not in info


def test_a_situation_that_the_expert_never_prepares_is_given_up(
    calvin: Calvin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix, "TRIES", 2)
    monkeypatch.setattr(prefix, "LIMIT", 1)
    monkeypatch.setattr(prefix, "draw_chain", lambda task, random: (initial_worlds()[0], ("open_drawer",)))
    with pytest.raises(ValueError, match="the expert prepared none of 2 situations for close_drawer"):
        calvin.reset(seed=2, options={"task": "close_drawer"})


def test_validation_sentences_are_in_no_demonstration(calvin: Calvin) -> None:
    training = find_clones().yaml(annotations="new_playtable")
    assert calvin.sentences.keys() == TASKS.keys()
    assert sum(len(told) for told in training.values()) == 389
    assert not {told for (told,) in calvin.sentences.values()} & {one for told in training.values() for one in told}
    assert calvin.spec_of_trajectories.instructions == tuple(sorted(told for (told,) in calvin.sentences.values()))


def test_policies_are_matched_with_their_observations(calvin: Calvin) -> None:
    spec = calvin.spec_of_trajectories
    assert options_for(spec) == CalvinOptions()
    seen = replace(spec, states={ROBOT: 17}, images=dict.fromkeys(CAMERAS, (48, 48)))
    assert options_for(seen) == CalvinOptions(observation="images", static_size=48, gripper_size=48)
    with pytest.raises(ValueError, match="choose another suite"):
        options_for(TrajectorySpec(states={ROBOT: 15}, actions=spec.actions))


def test_the_control_tells_each_sentence_of_a_chain_another_task() -> None:
    (task,) = SUITE.tasks(CalvinOptions(), "")
    (goal,) = task.goals
    assert isinstance(goal.swapped, Mapping)
    assert len(goal.swapped) == 34
    assert all(told != asked for asked, told in goal.swapped.items())


def test_cameras_see_the_scene_at_any_size(calvin: Calvin) -> None:
    calvin.reset(seed=100_000)
    for camera, side in (("static", 48), ("gripper", 32)):
        picture = calvin.simulator.render(camera, side)
        assert (picture.shape, picture.dtype) == ((side, side, 3), np.uint8)
        assert picture.std() > 10
    assert calvin.frame().shape == (200, 200, 3)


def test_shims_are_gone_after_the_import(calvin: Calvin) -> None:
    modules = importlib.import_module("sys").modules
    assert calvin.simulator is not None
    assert not [name for name in ("git", "quaternion") if name in modules and modules[name].__file__ is None]
    assert "gym" not in modules or "gymnasium" not in str(modules["gym"].__file__)
    assert os.environ.get("PYOPENGL_PLATFORM") is None
