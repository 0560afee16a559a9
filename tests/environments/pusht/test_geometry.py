import math

import numpy as np
import pytest

from astra.environments.pusht.geometry import (
    CENTER,
    LOWER_RIGHT,
    compose,
    goal_of,
    instruction_for,
    keypoints,
    to_block_frame,
    to_board,
)


def test_keypoints_of_a_turned_t() -> None:
    """A quarter turn takes x to y and y to -x."""
    points = keypoints((100.0, 200.0, math.pi / 2)).reshape(8, 2)
    np.testing.assert_allclose(points[0], (100, 140), atol=1e-9)
    np.testing.assert_allclose(points[6], (100 - 120, 215), atol=1e-9)


def test_to_board_and_to_block_frame_are_inverse() -> None:
    random = np.random.default_rng(0)
    poses, points = random.normal(size=(5, 3)), random.normal(size=(5, 2))
    np.testing.assert_allclose(to_block_frame(poses, to_board(poses, points)), points)
    change = random.normal(size=(5, 3))
    np.testing.assert_allclose(to_board(compose(poses, change), points), to_board(poses, to_board(change, points)))


def test_every_goal_has_an_instruction() -> None:
    assert instruction_for(CENTER) == "push the T to the center"
    assert (
        instruction_for((120.0, 400.0, math.pi)) == "push the T to the lower left, x 120, y 400, turned by 180 degrees"
    )


@pytest.mark.parametrize("goal", [CENTER, LOWER_RIGHT, (170.6, 256.0, 0.0), (120.4, 400.2, 2.5), (0.0, 511.0, -1.0)])
def test_a_goal_comes_back_from_its_instruction(goal: tuple[float, float, float]) -> None:
    instruction = instruction_for(goal)
    found = goal_of(instruction)
    assert found is not None
    assert found[:2] == pytest.approx(goal[:2], abs=0.51)
    assert math.cos(found[2] - goal[2]) > math.cos(math.radians(0.51))
    assert instruction_for(found) == instruction
    assert goal_of("pick up the cup") is None
