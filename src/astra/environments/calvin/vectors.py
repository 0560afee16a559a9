"""State vectors for policies, from the simulator's numbers or those of CALVIN's dataset, the same in all scenes.

Each thing has a vector of its own, so that it becomes one token: the robot, four fixtures and three blocks. The vector
of a thing has its position in the world and its offset from the gripper, so that it means the same wherever a scene has
its fixtures. Orientations are the first two columns of their rotation matrix: six numbers without a jump, unlike Euler
angles.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from astra.environments.calvin.scene import BLOCKS, long_axis_yaw

ROBOT = "observation.state"
"""Column of the robot's state."""
FIXTURES = {name: f"observation.fixtures.{name}" for name in ("door", "drawer", "button", "switch")}
"""Column of each fixture."""
BLOCK_COLUMNS = {color: f"observation.blocks.{color}" for color in BLOCKS}
"""Column of each block."""
SIZES = {
    ROBOT: 17,
    **dict(zip(FIXTURES.values(), (7, 7, 8, 8), strict=True)),
    **dict.fromkeys(BLOCK_COLUMNS.values(), 17),
}
"""Length of each state vector."""
ORDER = {"A": ("pink", "blue", "red"), "B": BLOCKS, "C": ("blue", "red", "pink"), "D": BLOCKS}
"""Order of the blocks in the numbers of calvin_env, by scene."""
LENGTHS = {
    "A": {"red": 0.056, "blue": 0.08, "pink": 0.04},
    "B": {"red": 0.04, "blue": 0.08, "pink": 0.056},
    "C": {"red": 0.08, "blue": 0.04, "pink": 0.056},
    "D": {"red": 0.056, "blue": 0.04, "pink": 0.08},
}
"""Length of each block in meters, by scene; width and height are 4 cm. Source: calvin_env, data/blocks."""
ACROSS = {
    "A": {"door": 0.04, "drawer": 0.1, "button": -0.28, "switch": 0.3},
    "B": {"door": 0.228, "drawer": 0.18, "button": 0.28, "switch": -0.32},
    "C": {"door": 0.2, "drawer": 0.1, "button": -0.12, "switch": -0.32},
    "D": {"door": 0.04, "drawer": 0.18, "button": -0.12, "switch": 0.3},
}
"""Where each handle, the button and the switch are in x when their joint is at 0, in meters; scenes differ in nothing
else. Source: calvin_env, origins of the joints in data/calvin_table_*/urdf, times 0.8."""
DEPTH_HEIGHT = {"door": (0.0, 0.52), "drawer": (-0.25, 0.375), "button": (-0.12, 0.487), "switch": (0.0372, 0.5179)}
"""Where they are in y and z then: the handles' middles, the button's top, and the middle of the switch's box."""
DIRECTION = {
    "door": (-1.0, 0.0, 0.0),
    "drawer": (0.0, -1.0, 0.0),
    "button": (0.0, 0.0, -1.0),
    "switch": (0.0, 0.5, 0.75**0.5),
}
"""Direction in which their joints move them."""


def robot_vector(robot: Float[np.ndarray, "*T 15"]) -> Float[np.ndarray, "*T 17"]:
    """Return position, orientation, opening and seven joints, from calvin_env's `robot_obs`.

    Its last number, the action of the gripper before, is left out: it nearly always is the next one too, and a policy
    that sees it learns to repeat it.
    """
    return np.concatenate([robot[..., :3], orientation(robot[..., 3:6]), robot[..., 6:14]], axis=-1)


def state_vectors(
    robot: Float[np.ndarray, "*T 15"],
    fixtures: Float[np.ndarray, "*T 6"],
    blocks: Mapping[str, Float[np.ndarray, "*T 6"]],
    scene: str,
) -> dict[str, Float[np.ndarray, "*T _"]]:
    """Return all vectors by column: the robot, the fixtures and the blocks.

    Args:
        robot: calvin_env's `robot_obs`.
        fixtures: Positions of the joints of door, drawer, button and switch, bulb and LED.
        blocks: Position and Euler angles of each block, by color.
        scene: Letter of the scene.
    """
    gripper = robot[..., :3]
    vectors = {ROBOT: robot_vector(robot)}
    lights = {"button": fixtures[..., 5:], "switch": fixtures[..., 4:5]}
    for number, (name, column) in enumerate(FIXTURES.items()):
        joint = fixtures[..., number : number + 1]
        place = np.array([ACROSS[scene][name], *DEPTH_HEIGHT[name]]) + joint * np.array(DIRECTION[name])
        light = [lights[name]] if name in lights else []
        vectors[column] = np.concatenate([joint, place, place - gripper, *light], axis=-1)
    for color, column in BLOCK_COLUMNS.items():
        place, columns = blocks[color][..., :3], orientation(blocks[color][..., 3:])
        length = np.full((*place.shape[:-1], 1), LENGTHS[scene][color])
        vectors[column] = np.concatenate([place, place - gripper, columns, turn_features(columns), length], axis=-1)
    return vectors


def state_vectors_of(
    robot: Float[np.ndarray, "*T 15"], scene: Float[np.ndarray, "*T 24"], letter: str
) -> dict[str, Float[np.ndarray, "*T _"]]:
    """Return all vectors from calvin_env's `robot_obs` and the `scene_obs` of a scene."""
    blocks = {color: scene[..., 6 + 6 * place : 12 + 6 * place] for place, color in enumerate(ORDER[letter])}
    return state_vectors(robot, scene[..., :6], blocks, letter)


def orientation(euler: Float[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T 6"]:
    """Return the first two columns of the rotation about the fixed axes x, then y, then z."""
    (sx, sy, sz), (cx, cy, cz) = np.moveaxis(np.sin(euler), -1, 0), np.moveaxis(np.cos(euler), -1, 0)
    columns = [cz * cy, sz * cy, -sy, cz * sy * sx - sz * cx, sz * sy * sx + cz * cx, cy * sx]
    return np.stack(columns, axis=-1)


def turn_features(columns: Float[np.ndarray, "*T 6"]) -> Float[np.ndarray, "*T 4"]:
    """Return sine and cosine of two and of four times the yaw of a block's long axis.

    Two times, because a box looks the same after half a turn; four times, because the fingers fit around a square one
    after every quarter.

    Args:
        columns: First two columns of its rotation matrix.
    """
    yaw = long_axis_yaw(columns)
    return np.stack([np.sin(2 * yaw), np.cos(2 * yaw), np.sin(4 * yaw), np.cos(4 * yaw)], axis=-1)
