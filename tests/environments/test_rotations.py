"""Rotation matrices, by the product of quaternions that defines them."""

import numpy as np
import pytest

from astra.environments.rotations import rotation_matrix


def product(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Multiply two quaternions (x, y, z, w)."""
    vector = p[3] * q[:3] + q[3] * p[:3] + np.cross(p[:3], q[:3])
    return np.append(vector, p[3] * q[3] - p[:3] @ q[:3])


@pytest.mark.parametrize("seed", range(5))
def test_a_matrix_turns_a_point_as_its_quaternion_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    quaternion = random.normal(size=4)
    quaternion /= np.linalg.norm(quaternion)
    point = random.normal(size=3)
    turned = product(product(quaternion, np.append(point, 0.0)), quaternion * [-1, -1, -1, 1])
    np.testing.assert_allclose(rotation_matrix(quaternion) @ point, turned[:3], atol=1e-12)
