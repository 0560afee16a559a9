"""The environment of Meta-World against the simulator, where it is installed."""

import importlib.util
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from astra.environments.metaworld.environment import CAMERAS, GOAL, HAND, OBJECTS, MetaWorld, MetaWorldOptions
from astra.environments.metaworld.expert import MetaWorldExpert, Pushes, demonstrate
from astra.environments.metaworld.suite import SUITE, MetaWorldDemonstrationOptions, options_for
from astra.environments.metaworld.tasks import TASKS
from astra.environments.mujoco_rendering import Camera, SceneRenderer, usable_gl
from astra.environments.spaces import in_bins

pytestmark = [
    pytest.mark.simulator,
    pytest.mark.skipif(
        importlib.util.find_spec("metaworld") is None, reason="needs Meta-World: pip install '.[metaworld]'"
    ),
]


@pytest.fixture(scope="module")
def environment() -> Iterator[MetaWorld]:
    """Return an environment of all tasks, which starts with another one."""
    made = MetaWorld(MetaWorldOptions())
    yield made
    made.close()


def has_gl() -> bool:
    try:
        return bool(usable_gl())
    except ValueError:
        return False


needs_gl = pytest.mark.skipif("not has_gl()", reason="needs EGL or OSMesa, by which MuJoCo renders without a screen")


def test_passes_the_checks_of_gymnasium(environment: MetaWorld) -> None:
    environment.reset(seed=0, options={"task": "reach"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not having a spec")
        check_env(environment, skip_render_check=True)


def play(environment: MetaWorld, task: str, seed: int, timesteps: int = 8) -> list[np.ndarray]:
    """Return Meta-World's observations of an episode with random actions."""
    random = np.random.default_rng(0)
    environment.reset(seed=seed, options={"task": task})
    seen = [environment.full_observation]
    for _ in range(timesteps):
        environment.step(random.uniform(-1, 1, 4))
        seen.append(environment.full_observation)
    return seen


@pytest.mark.parametrize("task", ["pick-place", "drawer-close", "basketball"])
def test_equal_seeds_give_equal_episodes_whatever_was_played_before(environment: MetaWorld, task: str) -> None:
    first = play(environment, task, seed=3)
    other = play(environment, task, seed=4)
    again = play(environment, task, seed=3)
    fresh = MetaWorld(MetaWorldOptions(known_tasks=(task,)))
    assert np.array_equal(first, again)
    assert np.array_equal(first, play(fresh, task, seed=3))
    assert not np.array_equal(first[0], other[0])
    fresh.close()


@pytest.mark.parametrize("task", ["drawer-open", "window-close", "pick-place"])
def test_the_first_observation_shows_the_layout_of_the_episode(environment: MetaWorld, task: str) -> None:
    """Meta-World's own reset may still show where objects stood in the layout before."""
    for seed in range(2):
        environment.reset(seed=seed, options={"task": task})
        first = environment.full_observation
        environment.step(environment.no_op_action())
        np.testing.assert_allclose(first[4:7], environment.full_observation[4:7], atol=2e-3)


def test_observations_have_the_names_and_sizes_of_the_spec_and_show_the_goal(environment: MetaWorld) -> None:
    goals = []
    for seed in range(2):
        observation, _ = environment.reset(seed=seed, options={"task": "reach"})
        assert {name: value.shape[0] for name, value in observation.items()} == dict(
            environment.spec_of_trajectories.states
        )
        assert list(observation) == [HAND, OBJECTS, GOAL]
        np.testing.assert_allclose(observation[GOAL], environment.simulator.raw._target_pos, rtol=1e-6)
        goals.append(observation[GOAL])
    assert not np.array_equal(*goals)
    assert environment.instruction == "move the gripper to the goal"


def test_only_the_instruction_tells_reach_from_pick_place(environment: MetaWorld) -> None:
    seen = []
    for task in ("reach", "pick-place"):
        environment.reset(seed=5, options={"task": task})
        seen.append((environment.instruction, environment.full_observation))
    (one, first), (other, second) = seen
    assert one != other
    np.testing.assert_allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("task", ["reach", "drawer-close", "button-press-topdown"])
def test_the_expert_succeeds_also_in_bins_and_with_noise(environment: MetaWorld, task: str) -> None:
    plain, rounded = (demonstrate(environment, task, 1, bins=bins) for bins in (0, 101))
    noisy, same = (demonstrate(environment, task, 1, noise=0.5) for _ in range(2))
    assert plain
    assert rounded
    assert noisy
    assert same
    assert abs(plain["action"]).max() <= 1
    np.testing.assert_allclose(in_bins(rounded["action"], 101), rounded["action"], atol=1e-6)
    assert not np.array_equal(plain[HAND][:10], noisy[HAND][:10])
    assert all(np.array_equal(noisy[name], same[name]) for name in noisy)


def test_recorded_actions_are_those_of_the_expert_in_the_recorded_states(environment: MetaWorld) -> None:
    shown = SUITE.demonstrate
    assert shown
    recorded = shown(MetaWorldDemonstrationOptions(noise=1.0), {"task": "reach"}, 7)
    assert recorded
    environment.reset(seed=7, options={"task": "reach"})
    expert, pushes = MetaWorldExpert(7), Pushes(7, 1.0)
    for action in recorded.columns["action"]:
        assert np.array_equal(expert.act(environment), action)
        environment.step(pushes.disturb(action))


def test_an_episode_ends_at_the_limit_or_at_the_first_success() -> None:
    environment = MetaWorld(MetaWorldOptions(known_tasks=("drawer-close",), max_timesteps=3))
    environment.reset(seed=0)
    ends = [environment.step(environment.no_op_action())[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    environment.close()


@pytest.mark.parametrize("action", [[0, 0, 0], [0, 0, 0, np.nan], [0, 0, 0, 1.1], [[0, 0, 0, 0]]])
def test_an_action_that_is_not_four_numbers_from_minus_1_to_1_is_refused(
    environment: MetaWorld, action: list[float]
) -> None:
    environment.reset(seed=0, options={"task": "reach"})
    with pytest.raises(ValueError, match="an action of Meta-World is four finite numbers from -1 to 1"):
        environment.step(np.array(action))


def test_unknown_reset_options_and_tasks_are_refused(environment: MetaWorld) -> None:
    with pytest.raises(ValueError, match=r"has the reset option 'task', got \['level'\]"):
        environment.reset(options={"level": "L1"})
    with pytest.raises(ValueError, match="did you mean window-open"):
        environment.reset(options={"task": "windows-open"})
    with pytest.raises(ValueError, match="plays one task, got 'mt10', which stands for 10"):
        environment.reset(options={"task": "mt10"})


@needs_gl
def test_two_cameras_show_the_scene_without_changing_the_episode(environment: MetaWorld) -> None:
    seeing = MetaWorld(MetaWorldOptions(known_tasks=("drawer-open",), observation="images", frame_size=32))
    observation, _ = seeing.reset(seed=3)
    assert {name: value.shape for name, value in observation.items()} == {
        HAND: (4,),
        GOAL: (3,),
        **dict.fromkeys(CAMERAS, (32, 32, 3)),
    }
    for name in CAMERAS:
        assert observation[name].dtype == np.uint8
        assert observation[name].std() > 5
    assert np.array_equal(play(seeing, "drawer-open", seed=3), play(environment, "drawer-open", seed=3))
    again, _ = seeing.reset(seed=3)
    assert all(np.array_equal(observation[name], again[name]) for name in observation)
    assert seeing.frame().shape == (256, 256, 3)
    assert options_for(seeing.spec_of_trajectories) == MetaWorldOptions(
        known_tasks=("drawer-open",), observation="images", frame_size=32
    )
    with pytest.raises(ValueError, match="no camera 'nowhere'; it has topview"):
        SceneRenderer(seeing.simulator.raw.model, 8, 8).render(seeing.simulator.raw.data, Camera(name="nowhere"))
    seeing.close()


def test_a_policy_finds_its_tasks_and_observations_again(environment: MetaWorld) -> None:
    assert options_for(environment.spec_of_trajectories) == MetaWorldOptions(known_tasks=("mt50",))
    few = MetaWorldOptions(known_tasks=("drawer-open", "drawer-close"))
    spec = SUITE.spec(few)
    assert spec.instructions == ("close the drawer", "open the drawer")
    assert set(options_for(spec).known_tasks) == set(few.known_tasks)
    assert [TASKS[name].instruction for name in ("window-open",)] == ["open the window"]
