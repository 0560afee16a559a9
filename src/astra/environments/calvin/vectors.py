"""State vectors for policies, from the simulator's numbers or those of CALVIN's dataset, in one order in all scenes.

Orientations are the first two columns of their rotation matrix: six numbers without a jump, unlike Euler angles.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from astra.environments.calvin.scene import BLOCKS

ROBOT, SCENE = "observation.state", "observation.environment_state"
"""Column names of the state vectors: the robot; fixtures and blocks."""
SIZES = {ROBOT: 18, SCENE: 6 + 9 * len(BLOCKS)}
"""Length of each state vector."""
ORDER = {"A": ("pink", "blue", "red"), "B": BLOCKS, "C": ("blue", "red", "pink"), "D": BLOCKS}
"""Order of the blocks in the numbers of calvin_env, by scene."""


def robot_vector(robot: Float[np.ndarray, "*T 15"]) -> Float[np.ndarray, "*T 18"]:
    """Return position, orientation, opening, seven joints and last gripper action, from calvin_env's `robot_obs`."""
    return np.concatenate([robot[..., :3], orientation(robot[..., 3:6]), robot[..., 6:]], axis=-1)


def scene_vector(
    fixtures: Float[np.ndarray, "*T 6"], blocks: Mapping[str, Float[np.ndarray, "*T 6"]]
) -> Float[np.ndarray, "*T 33"]:
    """Return door, drawer, button, switch, bulb and LED, then position and orientation of each block.

    Args:
        fixtures: Door, drawer, button, switch, bulb and LED.
        blocks: Position and Euler angles of each block, by color.
    """
    poses = [part for color in BLOCKS for part in (blocks[color][..., :3], orientation(blocks[color][..., 3:]))]
    return np.concatenate([fixtures, *poses], axis=-1)


def scene_vector_of(scene: Float[np.ndarray, "*T 24"], letter: str) -> Float[np.ndarray, "*T 33"]:
    """Return the vector from calvin_env's `scene_obs` of a scene."""
    parts = {color: scene[..., 6 + 6 * place : 12 + 6 * place] for place, color in enumerate(ORDER[letter])}
    return scene_vector(scene[..., :6], parts)


def orientation(euler: Float[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T 6"]:
    """Return the first two columns of the rotation about the fixed axes x, then y, then z."""
    (sx, sy, sz), (cx, cy, cz) = np.moveaxis(np.sin(euler), -1, 0), np.moveaxis(np.cos(euler), -1, 0)
    columns = [cz * cy, sz * cy, -sy, cz * sy * sx - sz * cx, sz * sy * sx + cz * cx, cy * sx]
    return np.stack(columns, axis=-1)
