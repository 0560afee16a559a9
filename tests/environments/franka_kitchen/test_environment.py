"""Franka Kitchen against the simulator, where it is installed."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from astra.environments.franka_kitchen.coarse_model import coarse_copy
from astra.environments.franka_kitchen.environment import (
    CAMERAS,
    OBJECT_JOINTS,
    OBJECTS,
    ROBOT,
    FrankaKitchen,
    KitchenOptions,
)
from astra.environments.franka_kitchen.simulator import JOINTS, is_installed
from astra.environments.franka_kitchen.tasks import TASKS
from astra.environments.mujoco_rendering import SceneRenderer, usable_gl

pytestmark = [
    pytest.mark.simulator,
    pytest.mark.skipif(not is_installed(), reason="needs Franka Kitchen: pip install '.[kitchen]'"),
]
ASKED = ("microwave", "kettle", "top burner", "light switch")


def has_gl() -> bool:
    try:
        return bool(usable_gl())
    except ValueError:
        return False


needs_gl = pytest.mark.skipif("not has_gl()", reason="needs EGL or OSMesa, by which MuJoCo renders without a screen")


@pytest.fixture(scope="module")
def kitchen() -> Iterator[FrankaKitchen]:
    made = FrankaKitchen(KitchenOptions())
    yield made
    made.close()


def open_objects(kitchen: FrankaKitchen, *names: str) -> None:
    """Put the joints of tasks at their goals."""
    for name in names:
        kitchen.simulator.data.qpos[list(TASKS[name].joints)] = TASKS[name].goal


def test_passes_the_checks_of_gymnasium(kitchen: FrankaKitchen) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not having a spec")
        check_env(kitchen, skip_render_check=True)


def test_equal_seeds_give_equal_episodes_whatever_was_played_before(kitchen: FrankaKitchen) -> None:
    def play(environment: FrankaKitchen, seed: int) -> np.ndarray:
        observation, _ = environment.reset(seed=seed)
        random, seen = np.random.default_rng(0), [*observation.values()]
        for _ in range(12):
            observation, *_ = environment.step(random.uniform(-1, 1, 9))
            seen += observation.values()
        return np.concatenate(seen)

    first, instruction = play(kitchen, 3), kitchen.instruction
    play(kitchen, 4)
    again = play(kitchen, 3)
    assert np.array_equal(first, again)
    assert kitchen.instruction == instruction
    fresh = FrankaKitchen(KitchenOptions())
    assert np.array_equal(first, play(fresh, 3))
    fresh.close()


def test_the_seed_draws_four_tasks_and_one_sentence_names_them(kitchen: FrankaKitchen) -> None:
    sentences = set()
    for seed in range(6):
        kitchen.reset(seed=seed)
        assert len({task.name for task in kitchen.asked}) == 4
        assert kitchen.instruction == ", ".join(task.words for task in kitchen.asked)
        sentences.add(kitchen.instruction)
    assert len(sentences) > 3
    kitchen.reset(seed=0, options={"tasks": ("light switch", "kettle", "top burner", "microwave")})
    assert kitchen.instruction == "open the microwave, move the kettle, turn the top knob, switch on the light"


def test_stages_count_named_tasks_in_any_order_and_others_apart(kitchen: FrankaKitchen) -> None:
    _, info = kitchen.reset(seed=0, options={"tasks": ASKED})
    assert info["scores"] == {"p1": 0, "p2": 0, "p3": 0, "p4": 0, "mean": 0, "not_named": 0}
    still = kitchen.no_op_action()
    open_objects(kitchen, "light switch", "slide cabinet")
    _, reward, terminated, _, info = kitchen.step(still)
    assert (reward, terminated) == (1.0, False)
    assert info["scores"] == {"p1": 1, "p2": 0, "p3": 0, "p4": 0, "mean": 0.25, "not_named": 1}
    kitchen.simulator.data.qpos[19] = 0.0  # what was done once stays done
    open_objects(kitchen, "microwave", "top burner")
    _, reward, _, _, info = kitchen.step(still)
    assert reward == 2.0
    assert info["scores"] == {"p1": 1, "p2": 1, "p3": 1, "p4": 0, "mean": 0.75, "not_named": 1}
    open_objects(kitchen, "kettle")
    _, _, terminated, truncated, info = kitchen.step(still)
    assert (terminated, truncated, info["is_success"]) == (True, False, True)
    assert info["scores"]["p4"] == 1
    assert info["done"] == {"light switch": 1, "slide cabinet": 1, "microwave": 2, "top burner": 2, "kettle": 3}


def test_observations_show_the_joints_by_name(kitchen: FrankaKitchen) -> None:
    observation, _ = kitchen.reset(seed=0)
    assert {name: len(value) for name, value in observation.items()} == dict(kitchen.spec_of_trajectories.states)
    np.testing.assert_allclose(observation[ROBOT], kitchen.simulator.start[:9], atol=2e-3)
    open_objects(kitchen, "microwave")
    place = list(OBJECT_JOINTS).index("microwave")
    assert kitchen.observe()[OBJECTS][place] == pytest.approx(-0.75)


def test_the_no_op_action_holds_the_arm_which_would_sink_with_zeros(kitchen: FrankaKitchen) -> None:
    heights = []
    for hold in (True, False):
        kitchen.reset(seed=0)
        before = kitchen.simulator.tip()[2]
        for _ in range(15):
            kitchen.step(kitchen.no_op_action() if hold else np.zeros(9))
        heights.append(abs(kitchen.simulator.tip()[2] - before))
    assert heights[0] < 0.01 < heights[1]


def test_perturbed_starts_differ_by_seed_and_have_nothing_done() -> None:
    kitchen = FrankaKitchen(KitchenOptions(perturbation=1.0))
    starts = []
    for seed in range(8):
        _, info = kitchen.reset(seed=seed)
        starts.append(kitchen.simulator.positions)
        assert not info["done"]
    kitchen.close()
    spread = np.std(starts, axis=0)
    assert spread[:JOINTS].min() > 0.02
    assert spread[[9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 24]].min() > 1e-3


def test_an_episode_is_truncated_at_its_limit() -> None:
    kitchen = FrankaKitchen(KitchenOptions(max_timesteps=2))
    kitchen.reset(seed=0)
    assert [kitchen.step(kitchen.no_op_action())[2:4] for _ in range(2)] == [(False, False), (False, True)]
    kitchen.close()


@pytest.mark.parametrize("action", [[0.0] * 8, [0.0] * 8 + [np.nan], [1.5] + [0.0] * 8, [[0.0] * 9]])
def test_an_action_that_is_not_nine_numbers_from_minus_1_to_1_is_refused(
    kitchen: FrankaKitchen, action: list[float]
) -> None:
    kitchen.reset(seed=0)
    with pytest.raises(ValueError, match="an action of Franka Kitchen is nine finite numbers from -1 to 1"):
        kitchen.step(np.array(action))


def test_unknown_reset_options_and_tasks_are_refused(kitchen: FrankaKitchen) -> None:
    with pytest.raises(ValueError, match=r"reset option 'tasks', got \['goal'\]"):
        kitchen.reset(seed=0, options={"goal": 1})
    with pytest.raises(ValueError, match="no task 'oven'; it has microwave, kettle"):
        kitchen.reset(seed=0, options={"tasks": ("oven", *ASKED[1:])})


@needs_gl
def test_both_cameras_show_a_door_that_opens() -> None:
    kitchen = FrankaKitchen(KitchenOptions(observation="images", frame_size=64))
    before, _ = kitchen.reset(seed=0)
    assert list(before) == [ROBOT, *CAMERAS]
    open_objects(kitchen, "microwave")
    after, *_ = kitchen.step(kitchen.no_op_action())
    for name in CAMERAS:
        assert before[name].shape == (64, 64, 3)
        changed = np.abs(before[name].astype(int) - after[name]).max(axis=2) > 40
        assert changed.sum() > 30
    assert kitchen.frame().shape == (256, 256, 3)
    kitchen.renders = False
    assert list(kitchen.observe()) == [ROBOT]
    poses = kitchen.simulator.poses()
    kitchen.step(np.full(9, 0.5))
    earlier = kitchen.images(kitchen.simulator.posed(poses))
    now = kitchen.images(kitchen.simulator.data)
    assert all(np.array_equal(earlier[name], after[name]) for name in CAMERAS)
    assert not any(np.array_equal(now[name], after[name]) for name in CAMERAS)
    kitchen.close()


@needs_gl
def test_policies_see_nearly_what_the_full_meshes_show_and_the_simulator_keeps_them(kitchen: FrankaKitchen) -> None:
    simulator = kitchen.simulator
    kitchen.reset(seed=0)
    triangles = simulator.model.mesh_facenum.copy()
    renderers = [SceneRenderer(model, 96, 96) for model in (simulator.model, coarse_copy(simulator.model))]
    for camera in CAMERAS.values():
        full, coarse = (renderer.render(simulator.data, camera) for renderer in renderers)
        apart = np.abs(full.astype(int) - coarse).max(axis=2) > 20
        assert 0 < apart.mean() < 0.02
        assert np.array_equal(coarse, renderers[1].render(simulator.data, camera))
    assert np.array_equal(simulator.model.mesh_facenum, triangles)
    for renderer in renderers:
        renderer.close()
