import math

import numpy as np

from astra.environments.pusht.geometry import CENTER, compose, instruction_for, keypoints, to_block_frame, to_board


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
