"""Kinematics of the robot: the pose of the gripper for given joints, and joints for a wanted pose."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.franka_kitchen.simulator import JOINTS, Simulator

LOW = np.array([-2.85, -1.74, -2.85, -3.05, -2.85, 0.0, -2.85])
HIGH = np.array([2.85, 1.74, 2.85, -0.42, 2.85, 2.10, 2.85])
"""Bounds of the joints in radians, a little inside the robot's own."""
POSITION, DIRECTION, POSTURE = 100.0, 2.0, 0.6
"""Weights of the tip's position (per meter), the gripper's direction (per radian), and the change of each joint (per
radian). A direction a little off costs less than a wrist that turns far."""
ITERATIONS = 40
"""Largest number of steps of a solution."""


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Wanted pose of the gripper."""

    tip: tuple[float, float, float]
    """Point between the fingertips, in meters."""
    yaw: float = 0.0
    """Direction in which the gripper points, in degrees to the left of straight into the kitchen."""
    elevation: float = 0.0
    """Direction in which the gripper points, in degrees above the horizontal."""
    roll: float = 0.0
    """Angle of the line between the fingers above the horizontal, in degrees."""

    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Return the gripper's axes as columns: the second lies along the fingers, the third is where it points."""
        yaw, elevation, roll = np.radians([self.yaw, self.elevation, self.roll])
        ahead = np.array([-np.sin(yaw) * np.cos(elevation), np.cos(yaw) * np.cos(elevation), np.sin(elevation)])
        side = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        fingers = np.cos(roll) * side + np.sin(roll) * np.cross(side, ahead)
        return np.stack([np.cross(fingers, ahead), fingers, ahead], axis=1)


class Kinematics:
    """Kinematics of the robot in a simulator, computed in a state of its own."""

    def __init__(self, simulator: Simulator) -> None:
        """Copy the present state."""
        self._mujoco, self._model = simulator.mujoco, simulator.model
        self._data: Any = simulator.mujoco.MjData(simulator.model)
        self._data.qpos[:] = simulator.data.qpos
        self._site = simulator.model.site("end_effector").id

    def tip(self, joints: Float[np.ndarray, "7"]) -> Float[np.ndarray, "3"]:
        """Return the point between the fingertips."""
        self._move(joints)
        return np.array(self._data.site_xpos[self._site])

    def jacobian(self, joints: Float[np.ndarray, "7"]) -> Float[np.ndarray, "6 7"]:
        """Return how the tip (m) and the gripper's rotation (rad) change with each joint."""
        self._move(joints)
        tip, rotation = np.zeros((3, self._model.nv)), np.zeros((3, self._model.nv))
        self._mujoco.mj_jacSite(self._model, self._data, tip, rotation, self._site)
        return np.concatenate([tip[:, :JOINTS], rotation[:, :JOINTS]])

    def error(self, joints: Float[np.ndarray, "7"], pose: Pose) -> Float[np.ndarray, "6"]:
        """Return the missing displacement (m) and rotation (rad) to a pose."""
        missing = np.array(pose.tip) - self.tip(joints)
        turn = pose.rotation() @ np.array(self._data.site_xmat[self._site]).reshape(3, 3).T
        axis = [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
        return np.concatenate([missing, 0.5 * np.array(axis)])

    def solve(self, pose: Pose, near: Float[np.ndarray, "7"]) -> tuple[float, Float[np.ndarray, "7"]]:
        """Return joints that reach a pose and lie near others, and what is left of the error.

        Levenberg and Marquardt's method for the weighted sum of squares of the three errors.
        """
        joints, damping = near.clip(LOW, HIGH), 1e-2
        weights = np.array([POSITION] * 3 + [DIRECTION] * 3)
        residual = self._residual(joints, pose, near, weights)
        for _ in range(ITERATIONS):
            slope = np.concatenate([weights[:, None] * self.jacobian(joints), POSTURE * np.eye(JOINTS)])
            change = np.linalg.solve(slope.T @ slope + damping * np.eye(JOINTS), slope.T @ residual)
            tried = (joints + change * min(1.0, 0.3 / max(float(np.abs(change).max()), 1e-9))).clip(LOW, HIGH)
            following = self._residual(tried, pose, near, weights)
            gain = float(residual @ residual - following @ following)
            if gain <= 0:
                damping *= 4
                continue
            joints, residual, damping = tried, following, max(damping / 3, 1e-4)
            if gain < 1e-5:
                break
        return float(residual @ residual), joints

    def _residual(
        self,
        joints: Float[np.ndarray, "7"],
        pose: Pose,
        near: Float[np.ndarray, "7"],
        weights: Float[np.ndarray, "6"],
    ) -> Float[np.ndarray, "13"]:
        return np.concatenate([weights * self.error(joints, pose), POSTURE * (near - joints)])

    def _move(self, joints: Float[np.ndarray, "7"]) -> None:
        self._data.qpos[:JOINTS] = joints
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_comPos(self._model, self._data)
