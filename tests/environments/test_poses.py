import math

import numpy as np
import pytest

from astra.environments.poses import (
    QUATERNION_ACTIONS,
    SE2_ACTIONS,
    check_action,
    normalize_quaternions,
    to_quaternions,
    to_se2,
)


def test_converting_to_quaternions_and_back_keeps_an_action():
    random = np.random.default_rng(0)
    for _ in range(50):
        action = random.uniform(SE2_ACTIONS.low, SE2_ACTIONS.high)
        np.testing.assert_allclose(to_se2(to_quaternions(action)), action, atol=1e-12)


def test_a_quaternion_and_its_negative_are_the_same_rotation():
    twelve = to_quaternions(np.array([0.5, 0.1, 2.0, 0.3, -0.2, -1.0]))
    opposite = twelve.reshape(2, 6) * [1, 1, -1, -1, -1, -1]
    np.testing.assert_allclose(to_se2(opposite.reshape(12)), to_se2(twelve), atol=1e-12)


def test_quaternions_are_normalized():
    twelve = to_quaternions(np.array([0.5, 0.1, 2.0, 0.3, -0.2, -1.0]))
    stretched = (twelve.reshape(2, 6) * [1, 1, 0.3, 0.3, 0.3, 0.3]).reshape(12)
    np.testing.assert_allclose(normalize_quaternions(stretched), twelve, atol=1e-12)
    zeros = (twelve.reshape(2, 6) * [1, 1, 0, 0, 0, 0]).reshape(12)
    assert normalize_quaternions(zeros).reshape(2, 6)[:, 2:].tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def test_an_action_outside_the_workspace_is_refused():
    inside = np.array([0.25, -0.5, -math.pi, 0.75, 0.5, math.pi])
    assert check_action(inside.astype(np.float32), "se2") == pytest.approx(inside)
    with pytest.raises(ValueError, match=r"y1 is 0.6, outside the workspace \[-0.5, 0.5\]"):
        check_action(np.array([0.25, 0, 0, 0.75, 0.6, 0]), "se2")
    with pytest.raises(ValueError, match="an action is 12 finite numbers, x0, y0, qx0"):
        check_action(inside, "quaternion")
    with pytest.raises(ValueError, match="an action is 6 finite numbers"):
        check_action(inside * np.nan, "se2")


def test_the_specs_have_the_bins_of_the_benchmark():
    assert QUATERNION_ACTIONS.bins == (50, 100, 50, 50, 50, 50, 50, 100, 50, 50, 50, 50)
    assert SE2_ACTIONS.bins == (50, 100, 73, 50, 100, 73)
    assert SE2_ACTIONS.periodic == (False, False, True, False, False, True)
