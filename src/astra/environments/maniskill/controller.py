"""ManiSkill's controller `pd_ee_delta_pose` in numbers; its own spends most of a timestep on tensors of a few numbers.

The inverse kinematics are those of ManiSkill's controller, from which everything else is read too. The targets agree
with its own up to rounding, which a test holds.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

ITERATIONS = 100
"""Largest number of iterations of the inverse kinematics. Source: `Kinematics.compute_ik` of ManiSkill."""


class HandController:
    """Turns steps of the hand and the opening of the gripper into targets of the joints."""

    def __init__(self, sapien: Any, agent: Any) -> None:
        """Read the parts of ManiSkill's controller; a new scene needs a new one.

        Args:
            sapien: The module.
            agent: ManiSkill's robot in a scene.
        """
        arm, gripper = (agent.controller.controllers[name] for name in ("arm", "gripper"))
        self._pose = sapien.Pose
        self._articulation: Any = agent.robot._objs[0]
        self._base, self._hand = arm.root_link._objs[0], arm.ee_link._objs[0]
        self._arm_joints = [joint._objs[0] for joint in arm.joints]
        self._fingers = [joint._objs[0] for joint in gripper.joints]
        self._reach, self._turn = arm.config.pos_upper, arm.config.rot_lower
        self._shut, self._open = gripper.config.lower, gripper.config.upper
        kinematics = arm.kinematics
        self._model, self._link = kinematics.pmodel, kinematics.end_link_idx
        self._order = kinematics.pmodel_active_joint_indices.numpy()
        self._controlled = kinematics.pmodel_controlled_joint_indices.numpy()
        self._free = kinematics.qmask.numpy()

    def act(self, action: Float[np.ndarray, "7"]) -> None:
        """Set the targets of all joints; without a solution the arm's are where it is."""
        joints = np.asarray(self._articulation.qpos)[self._order]
        solution, solved, _ = self._model.compute_inverse_kinematics(
            self._link, self._target(action), initial_qpos=joints, active_qmask=self._free, max_iterations=ITERATIONS
        )
        targets = np.asarray(solution if solved else joints, np.float32)[self._controlled]
        for joint, target in zip(self._arm_joints, targets, strict=True):
            joint.set_drive_target(target)
        opening = (self._shut + self._open + (self._open - self._shut) * float(action[6].clip(-1, 1))) / 2
        for finger in self._fingers:
            finger.set_drive_target(opening)

    def _target(self, action: Float[np.ndarray, "7"]) -> Any:
        """Return the pose that the action asks for, in the frame of the base."""
        hand = self._base.entity_pose.inv() * self._hand.entity_pose
        turn = action[3:6] / max(1.0, float(np.linalg.norm(action[3:6]))) * self._turn
        rotation = self._pose(q=hand.q)
        for axis in (2, 1, 0):  # about x after y after z
            quaternion = np.zeros(4)
            quaternion[0], quaternion[1 + axis] = np.cos(turn[axis] / 2), np.sin(turn[axis] / 2)
            rotation = self._pose(q=quaternion) * rotation
        return self._pose(hand.p + self._reach * action[:3].clip(-1, 1), rotation.q)
