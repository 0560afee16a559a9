"""State vectors mean the same in all scenes, and are where the simulator has its things."""

from dataclasses import replace

import numpy as np
import pytest

from astra.environments.calvin.clones import find_clones
from astra.environments.calvin.scene import BLOCKS, SCENES
from astra.environments.calvin.simulator import Simulator
from astra.environments.calvin.starts import protocol_start
from astra.environments.calvin.tasks import initial_worlds
from astra.environments.calvin.vectors import (
    BLOCK_COLUMNS,
    FIXTURES,
    LENGTHS,
    ORDER,
    ROBOT,
    SIZES,
    orientation,
    state_vectors,
    turn_features,
)
from tests.environments.calvin.test_environment import reason_to_skip

ROBOT_NUMBERS = np.arange(15.0) / 10


def blocks(yaw: float = 0.3) -> dict[str, np.ndarray]:
    return {color: np.array([0.1 * n, -0.1, 0.46, 0.0, 0.0, yaw]) for n, color in enumerate(BLOCKS)}


@pytest.mark.parametrize("scene", SCENES)
def test_vectors_have_their_sizes_with_and_without_time(scene: str) -> None:
    one = state_vectors(ROBOT_NUMBERS, np.zeros(6), blocks(), scene)
    assert {name: len(vector) for name, vector in one.items()} == SIZES
    several = {color: np.stack([block] * 3) for color, block in blocks().items()}
    more = state_vectors(np.stack([ROBOT_NUMBERS] * 3), np.zeros((3, 6)), several, scene)
    assert all(np.array_equal(more[name], np.stack([one[name]] * 3)) for name in SIZES)


def test_the_last_gripper_action_is_not_in_the_robots_state() -> None:
    closed, opened = (np.append(ROBOT_NUMBERS[:14], action) for action in (-1.0, 1.0))
    one, other = (state_vectors(robot, np.zeros(6), blocks(), "D") for robot in (closed, opened))
    assert all(np.array_equal(one[name], other[name]) for name in SIZES)
    assert len(one[ROBOT]) == 17


def test_the_turn_of_a_box_looks_the_same_after_half_a_turn_and_partly_after_a_quarter() -> None:
    def features(yaw: float) -> np.ndarray:
        return turn_features(orientation(np.array([0.0, 0.0, yaw])))

    np.testing.assert_allclose(features(0.3), features(0.3 + np.pi), atol=1e-9)
    np.testing.assert_allclose(features(0.3)[2:], features(0.3 + np.pi / 2)[2:], atol=1e-9)
    assert not np.allclose(features(0.3)[:2], features(0.3 + np.pi / 2)[:2])


@pytest.mark.simulator
@pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())
@pytest.mark.parametrize("scene", SCENES)
def test_fixtures_and_lengths_are_those_of_the_simulator(scene: str) -> None:
    simulator = Simulator(find_clones(), scene)
    try:
        start = protocol_start(initial_worlds()[0])
        simulator.reset(replace(start, slider=0.1, drawer=0.08, button=0.0, switch=0.05))
        state = simulator.state
        joints = np.array([state.slider, state.drawer, state.button, state.switch, 0.0, 0.0])
        vectors = state_vectors(simulator.proprioception, joints, state.blocks, scene)
        boxes = {name: simulator.box(f"{'slide' if name == 'door' else name}_link") for name in FIXTURES}
        lengths = simulator.block_lengths
        order = tuple(block.name.removeprefix("block_") for block in simulator.scene.movable_objects)
    finally:
        simulator.close()
    for name, (low, high) in boxes.items():
        place = vectors[FIXTURES[name]][1:4]
        assert place[0] == pytest.approx((low[0] + high[0]) / 2, abs=1e-3)
        assert (low - 1e-3 <= place).all()
        assert (place <= high + 1e-3).all()
    np.testing.assert_allclose(vectors[FIXTURES["switch"]][1:4], boxes["switch"].mean(0), atol=1e-3)
    assert vectors[FIXTURES["button"]][3] == pytest.approx(boxes["button"][1, 2], abs=1e-3)
    assert vectors[FIXTURES["drawer"]][2] == pytest.approx(boxes["drawer"][0, 1] + 0.015, abs=1e-3)  # the bar
    assert lengths == pytest.approx(LENGTHS[scene])
    assert {color: vectors[column][-1] for color, column in BLOCK_COLUMNS.items()} == LENGTHS[scene]
    assert order == ORDER[scene]
