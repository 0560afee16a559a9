"""The expert of CALVIN and its demonstrations, where the simulator is there."""

import gc
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from astra.environments.calvin.demonstrations import CalvinDemonstrationOptions, record
from astra.environments.calvin.environment import CAMERAS, Calvin, CalvinOptions
from astra.environments.calvin.expert import CalvinExpert, routine_of
from astra.environments.calvin.simulator import STEP, TURN
from astra.environments.calvin.suite import SUITE
from astra.environments.calvin.tasks import TASKS
from astra.environments.calvin.vectors import ROBOT, SIZES
from astra.environments.recording import play_again
from tests.environments.calvin.test_environment import reason_to_skip

pytestmark = [pytest.mark.simulator, pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())]
OPTIONS = CalvinDemonstrationOptions()
TASK, SEED = "turn_on_led", 0
"""A short demonstration."""


@pytest.fixture
def calvin() -> Iterator[Calvin]:
    made = Calvin(CalvinOptions(play="tasks", sentences="training"))
    yield made
    made.close()


def test_demonstrations_are_repeated_bit_for_bit_and_differ_by_seed(calvin: Calvin) -> None:
    first, other, again = (record(calvin, TASK, seed, OPTIONS) for seed in (SEED, SEED + 1, SEED))
    assert first is not None
    assert again is not None
    assert first.columns.keys() == {*SIZES, "action"}
    assert all(np.array_equal(first.columns[name], again.columns[name]) for name in first.columns)
    assert other is None or not np.array_equal(other.actions[:5], first.actions[:5])


def test_recorded_actions_are_the_experts_and_fit_the_bounds(calvin: Calvin) -> None:
    shown = record(calvin, TASK, SEED, OPTIONS)
    assert shown is not None
    assert set(shown.actions[:, 6]) <= {-1.0, 1.0}
    assert np.linalg.norm(shown.actions[:, :3], axis=1).max() * STEP < 0.0151
    assert np.abs(shown.actions[:, 3:6]).max() * TURN < 0.0451
    assert not np.array_equal(shown.actions, shown.executed)
    assert np.abs(shown.executed).max() <= 1
    assert calvin.instruction in calvin.sentences[TASK]


def test_images_come_from_a_second_play_of_the_same_actions(calvin: Calvin) -> None:
    shown = record(calvin, TASK, SEED, OPTIONS)
    assert shown is not None
    calvin.close()
    seen = Calvin(
        CalvinOptions(play="tasks", sentences="training", observation="images", static_size=16, gripper_size=8)
    )
    try:
        again = play_again(seen, {"task": TASK}, SEED, shown)
    finally:
        seen.close()
    np.testing.assert_array_equal(again.columns[ROBOT], shown.columns[ROBOT])
    shapes = [again.columns[name].shape[1:] for name in CAMERAS]
    assert shapes == [(16, 16, 3), (8, 8, 3)]


def test_an_error_of_the_simulator_ends_a_demonstration(calvin: Calvin, monkeypatch: pytest.MonkeyPatch) -> None:
    step, calls = calvin.step, list[bool]()

    def fail(action: np.ndarray) -> None:
        raise ValueError("Not connected to physics server.")

    def count(action: np.ndarray) -> Any:
        calls.append(True)
        if len(calls) == 3:
            monkeypatch.setattr(calvin.simulator, "step", fail)
        return step(action)

    monkeypatch.setattr(calvin, "step", count)
    with pytest.warns(UserWarning, match="simulator failed"):
        assert record(calvin, TASK, SEED, OPTIONS) is None
    assert len(calls) == 3


def test_the_environment_of_demonstrations_gives_way_to_another_one() -> None:
    assert SUITE.demonstrate is not None
    reset = {"task": TASK, "scene": "D"}
    first = SUITE.demonstrate(OPTIONS, reset, SEED)
    other = Calvin(CalvinOptions())
    try:
        with pytest.raises(ValueError, match="one environment per process"):
            SUITE.demonstrate(OPTIONS, reset, SEED)
    finally:
        other.close()
    again = SUITE.demonstrate(OPTIONS, reset, SEED)
    assert first is not None
    assert again is not None
    assert all(np.array_equal(first.columns[name], again.columns[name]) for name in first.columns)


@pytest.mark.parametrize("calls", [0, 1])  # calvin_env loads the scene when it is made, and Astra does again
def test_a_simulator_that_fails_to_load_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    bullet = importlib.import_module("pybullet")
    kind = importlib.import_module("calvin_env.scene.play_table_scene").PlayTableScene
    load, left = kind.load, []

    def fail_later(scene: Any) -> None:
        if not left:
            raise bullet.error("Cannot load URDF file.")
        left.pop()
        load(scene)

    with monkeypatch.context() as patched:
        patched.setattr(kind, "load", fail_later)
        for _ in range(2):
            left[:] = [None] * calls
            with pytest.raises(bullet.error, match="Cannot load URDF file"):
                Calvin(CalvinOptions())
            assert not bullet.isConnected(0)
    made = Calvin(CalvinOptions())
    gc.collect()  # what is left of the failed ones must not disconnect it
    made.reset(seed=SEED)
    made.close()


def test_every_task_has_a_routine() -> None:
    assert all(callable(routine_of(name)) for name in TASKS)


def test_a_disturbed_hand_goes_on_with_its_task(calvin: Calvin) -> None:
    calvin.reset(seed=SEED, options={"task": TASK})
    expert, random, info = CalvinExpert(), np.random.default_rng(0), {"is_success": False}
    for step in range(150):
        action = expert.act(calvin)
        if 8 <= step < 16:
            action = np.append(np.full(6, 0.5), 1.0)
        action[:6] += random.normal(0.0, 0.1, 6)
        *_, info = calvin.step(action.clip(-1, 1))
        if info["is_success"]:
            break
    assert info["is_success"]


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["A", "B", "C", "D"])
def test_the_expert_does_most_tasks_in_every_scene(scene: str) -> None:
    calvin = Calvin(CalvinOptions(play="tasks", scene=scene))  # pyright: ignore[reportArgumentType]
    done = []
    for number, name in enumerate(TASKS):
        calvin.reset(seed=number, options={"task": name})
        expert, ended, info = CalvinExpert(), False, {}
        while not ended:
            *_, ended, _, info = calvin.step(expert.act(calvin))
        done.append(info["is_success"])
    calvin.close()
    assert sum(done) >= 30
