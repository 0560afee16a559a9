"""Actions with two poses on a table: 6 numbers in SE(2), or VIMA-Bench's 12 numbers with quaternions.

    se2           x, y, angle            of pose 0, then of pose 1
    quaternion    x, y, qx, qy, qz, qw   of pose 0, then of pose 1

Positions are in meters. Angles are in radians about the vertical axis. The suction gripper picks at pose 0 and places
at pose 1; the spatula sweeps from pose 0 to pose 1.

Source: section 4.3 of the paper; Jiang et al. 2023, VIMA (the workspace and the numbers of bins).
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float

from astra.trajectory import ActionSpec

ActionForm = Literal["se2", "quaternion"]
"""Representation of an action."""

X_RANGE, Y_RANGE = (0.25, 0.75), (-0.5, 0.5)
"""Workspace in meters."""
ANGLE_BINS = 73
"""Bins of an angle, about 5 degrees each. The number is odd, so that the angle 0 is the center of a bin."""

SE2_ACTIONS = ActionSpec(
    names=("x0", "y0", "angle0", "x1", "y1", "angle1"),
    low=2 * (X_RANGE[0], Y_RANGE[0], -math.pi),
    high=2 * (X_RANGE[1], Y_RANGE[1], math.pi),
    periodic=2 * (False, False, True),
    bins=2 * (50, 100, ANGLE_BINS),
)
"""Actions in SE(2)."""
QUATERNION_ACTIONS = ActionSpec(
    names=("x0", "y0", "qx0", "qy0", "qz0", "qw0", "x1", "y1", "qx1", "qy1", "qz1", "qw1"),
    low=2 * (X_RANGE[0], Y_RANGE[0], -1.0, -1.0, -1.0, -1.0),
    high=2 * (X_RANGE[1], Y_RANGE[1], 1.0, 1.0, 1.0, 1.0),
    bins=2 * (50, 100, 50, 50, 50, 50),
)
"""VIMA-Bench's own actions."""
ACTIONS: dict[ActionForm, ActionSpec] = {"se2": SE2_ACTIONS, "quaternion": QUATERNION_ACTIONS}
"""Action spec of each representation."""


def to_quaternions(action: Float[np.ndarray, "6"]) -> Float[np.ndarray, "12"]:
    """Convert an action from SE(2) to quaternions."""
    (x0, y0, angle0), (x1, y1, angle1) = np.split(np.asarray(action, np.float64), 2)
    first = (x0, y0, 0.0, 0.0, math.sin(angle0 / 2), math.cos(angle0 / 2))
    return np.array([*first, x1, y1, 0.0, 0.0, math.sin(angle1 / 2), math.cos(angle1 / 2)])


def to_se2(action: Float[np.ndarray, "12"]) -> Float[np.ndarray, "6"]:
    """Convert an action from quaternions to SE(2). Angles are the yaw, in [-pi, pi)."""
    poses = [(x, y, _yaw(qx, qy, qz, qw)) for x, y, qx, qy, qz, qw in np.split(np.asarray(action, np.float64), 2)]
    return np.array(poses).reshape(6)


def normalize_quaternions(action: Float[np.ndarray, "12"]) -> Float[np.ndarray, "12"]:
    """Scale both quaternions to length 1. A quaternion of length 0 becomes the identity."""
    poses = np.array(action, np.float64).reshape(2, 6)
    lengths = np.linalg.norm(poses[:, 2:], axis=1, keepdims=True)
    poses[:, 2:] = np.where(lengths > 1e-6, poses[:, 2:] / np.maximum(lengths, 1e-6), [0.0, 0.0, 0.0, 1.0])
    return poses.reshape(12)


def check_action(action: np.ndarray, form: ActionForm) -> np.ndarray:
    """Check an action, and clip rounding errors of float32 at its bounds.

    Raises:
        ValueError: if it has the wrong length, is not finite or lies outside the workspace.
    """
    spec, values = ACTIONS[form], np.asarray(action, np.float64)
    if values.shape != (len(spec),) or not np.isfinite(values).all():
        raise ValueError(f"an action is {len(spec)} finite numbers, {', '.join(spec.names)}; got {action!r}")
    low, high = np.array(spec.low), np.array(spec.high)
    outside = (values < low - 1e-5) | (values > high + 1e-5)
    if outside.any():
        name, value, i = spec.names[int(outside.argmax())], values[outside][0], int(outside.argmax())
        raise ValueError(
            f"the action's {name} is {value:.6g}, outside the workspace [{low[i]:.6g}, {high[i]:.6g}]: clip it, or "
            "check that the policy was trained on actions in this representation"
        )
    return np.clip(values, low, high)


def _yaw(qx: float, qy: float, qz: float, qw: float) -> float:
    """Return the angle about the vertical axis, in [-pi, pi)."""
    angle = math.atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))
    return angle if angle < math.pi else -math.pi
