"""Poses, keypoints, goals and instructions of Push-T; needs no simulator.

A pose is (x, y, angle). x and y are the middle of the T's upper edge, in pixels of a 512 x 512 board, x to the right
and y down. The angle turns the T clockwise on the screen, in radians.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Pose = tuple[float, float, float]
"""x and y in pixels, angle in radians."""

CENTER: Pose = (256.0, 256.0, math.pi / 4)
"""Goal of gym-pusht."""
LOWER_RIGHT: Pose = (356.0, 356.0, math.pi / 4)
"""Second goal for which human demonstrations exist."""
GOAL_POSES: dict[str, Pose] = {"push the T to the center": CENTER, "push the T to the lower right": LOWER_RIGHT}
"""Named goals by instruction."""
NUMBERED_GOAL = re.compile(r"push the T to the \w+ \w+, x (\d+), y (\d+), turned by (\d+) degrees")
"""Instruction of a goal without a name."""

BOARD = 512.0
"""Side of the board, in pixels."""
WALLS = (7.0, 504.0)
"""Inner faces of the walls, equal in x and y, in pixels."""

KEYPOINTS = np.array(
    [(-60, 0), (60, 0), (60, 30), (-60, 30), (-15, 30), (15, 30), (15, 120), (-15, 120)], dtype=np.float64
)
"""Corners of the T's bar and stem in its own frame, in gym-pusht's order."""


def keypoints(block_pose: Sequence[float] | Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 16"]:
    """Return the keypoints x0, y0, x1, y1, ... of the T in pixels: the corners of its bar, then of its stem."""
    pose = np.asarray(block_pose, dtype=np.float64)
    cos, sin = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    x, y = KEYPOINTS.T.reshape(2, 8, *[1] * cos.ndim)
    points = np.empty((8, 2, *cos.shape))  # long axes last: many times faster
    points[:, 0] = cos * x - sin * y + pose[..., 0]
    points[:, 1] = sin * x + cos * y + pose[..., 1]
    return np.ascontiguousarray(np.moveaxis(points.reshape(16, *cos.shape), 0, -1))


def to_board(pose: Float[np.ndarray, "*#B 3"], points: Float[np.ndarray, "*#B 2"]) -> Float[np.ndarray, "*#B 2"]:
    """Transform points from a pose's own frame to the board."""
    return _rotate(pose[..., 2:], points) + pose[..., :2]


def to_block_frame(pose: Float[np.ndarray, "*#B 3"], points: Float[np.ndarray, "*#B 2"]) -> Float[np.ndarray, "*#B 2"]:
    """Transform points from the board to a pose's own frame."""
    return _rotate(-pose[..., 2:], points - pose[..., :2])


def compose(pose: Float[np.ndarray, "*#B 3"], change: Float[np.ndarray, "*#B 3"]) -> Float[np.ndarray, "*#B 3"]:
    """Return the pose after a change that is given in its own frame."""
    return np.concatenate([to_board(pose, change[..., :2]), pose[..., 2:] + change[..., 2:]], axis=-1)


def _rotate(angle: Float[np.ndarray, "*#B 1"], points: Float[np.ndarray, "*#B 2"]) -> Float[np.ndarray, "*#B 2"]:
    cos, sin, x, y = np.cos(angle), np.sin(angle), points[..., :1], points[..., 1:]
    return np.concatenate([cos * x - sin * y, sin * x + cos * y], axis=-1)


def check_goal(goal: Sequence[float]) -> Pose:
    """Return the goal as a pose.

    Raises:
        ValueError: if it is not three finite numbers, or the T does not fit on the board there.
    """
    pose = np.asarray(goal, dtype=np.float64)
    if pose.shape != (3,) or not np.isfinite(pose).all():
        raise ValueError(f"a goal is a pose (x, y, angle) of three finite numbers, got {goal!r}")
    corners = keypoints(pose)
    if corners.min() < WALLS[0] or corners.max() > WALLS[1]:
        raise ValueError(
            f"the T does not fit on the board at the goal {tuple(pose.tolist())}: its corners span "
            f"{corners.min():.0f} to {corners.max():.0f} pixels, "
            f"expected {WALLS[0]:.0f} to {WALLS[1]:.0f}; choose another goal"
        )
    x, y, angle = pose.tolist()
    return x, y, angle


def instruction_for(goal: Sequence[float]) -> str:
    """Return the instruction for a goal pose. Goals without a name are described by region and numbers."""
    for instruction, pose in GOAL_POSES.items():
        if np.allclose(goal, pose):
            return instruction
    x, y, angle = round(goal[0]), round(goal[1]), goal[2]
    row = ("upper", "middle", "lower")[min(int(3 * y / BOARD), 2)]
    column = ("left", "center", "right")[min(int(3 * x / BOARD), 2)]
    degrees = round(math.degrees(angle)) % 360
    return f"push the T to the {row} {column}, x {x}, y {y}, turned by {degrees} degrees"


def goal_of(instruction: str) -> Pose | None:
    """Return the goal pose that an instruction names, up to a pixel and a degree; None if it names none."""
    if instruction in GOAL_POSES:
        return GOAL_POSES[instruction]
    found = NUMBERED_GOAL.fullmatch(instruction)
    if found is None:
        return None
    x, y, degrees = map(float, found.groups())
    return x, y, math.radians(degrees)
