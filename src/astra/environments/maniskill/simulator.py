"""The simulator as numbers: poses, joints, contacts and pictures of ManiSkill's scene as NumPy arrays."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from astra.environments.foreign_packages import quiet
from astra.environments.maniskill.controller import HandController
from astra.environments.maniskill.layout import JOINTS, Layout
from astra.environments.maniskill.package import maniskill
from astra.environments.maniskill.task import BASE, task_class
from astra.environments.rotations import rotation_matrix

FPS = 20.0
"""Timesteps per second, those of ManiSkill's controller; each is five steps of the physics."""
FORCE = 0.5
"""Smallest force in newtons of a finger that holds something. Source: `is_grasping` of ManiSkill's robot."""
STEEP = np.cos(np.radians(85.0))
"""Cosine of the largest angle between that force and the direction in which the finger opens. Source: the same."""


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Place and orientation in the world; the robot's base is at x = -0.615."""

    point: Float[np.ndarray, "3"]
    """Position in meters."""
    turn: Float[np.ndarray, "3 3"]
    """Rotation matrix; its columns are the axes of the object."""


class Simulator:
    """A scene of ManiSkill with its robot.

    Raises:
        ValueError: if ManiSkill is missing or cannot run.
    """

    def __init__(self, layout: Layout, sides: dict[str, int]) -> None:
        """Build the scene.

        Args:
            layout: Layout with which it begins.
            sides: Sides in pixels of the cameras `base`, `hand` and `video`.
        """
        build = task_class()
        with quiet(errors=True):
            self._task: Any = build(layout, sides)

    def reset(self, layout: Layout) -> None:
        """Build the scene anew. Equal layouts give bitwise equal episodes."""
        self._task.layout = layout
        with warnings.catch_warnings(action="ignore"):
            self._task.reset(seed=0)
        self._begin()

    def step(self, action: Float[np.ndarray, "7"]) -> None:
        """Move for one timestep."""
        self._controller.act(action)
        for _ in range(self._task._sim_steps_per_control):
            self._task.scene.step()
        self._read()

    def _begin(self) -> None:
        """Take over a scene that was built anew."""
        self._controller = HandController(maniskill()["sapien"], self._task.agent)
        self._read()

    def _read(self) -> None:
        task = self._task
        self.joints: Float[np.ndarray, 9] = np.asarray(task.agent.robot._objs[0].qpos, np.float64)
        """Positions of the seven joints in radians and of the two fingers in meters."""
        self.tip = _pose(task.agent.tcp._objs[0].entity_pose)
        """Middle of the fingertips; its z axis points away from the hand, its y axis from finger to finger."""
        self.objects = [_pose(each._objs[0].pose) for each in task.objects]
        """Poses of the target and of the distractors."""
        self.container = _pose(task.container._objs[0].pose)
        """Pose of the container: the middle of its underside."""
        target = task.objects[0]._bodies[0]
        self.speed = float(np.linalg.norm(target.linear_velocity))
        """Speed of the target in meters per second."""
        self.held, self.touched = self._contact(target.entity)

    def _contact(self, target: Any) -> tuple[bool, bool]:
        """Return whether both fingers press the target between them, and whether a finger or the hand touches it."""
        task = self._task
        fingers = [link._bodies[0].entity for link in (task.agent.finger1_link, task.agent.finger2_link)]
        hand = task.agent.robot.links_map["panda_hand"]._bodies[0].entity
        forces, touched = np.zeros((2, 3)), False
        for contact in task.scene.px.get_contacts():
            first, second = (body.entity for body in contact.bodies)
            if target not in (first, second):
                continue
            impulse = sum((point.impulse for point in contact.points), np.zeros(3))  # on the first of the two
            touched |= bool({first, second} & {*fingers, hand} and np.any(impulse))
            for number, finger in enumerate(fingers):
                if finger in (first, second):
                    forces[number] += (impulse if first == finger else -impulse) / task.scene.px.timestep
        axes = [_turn(finger.pose.q)[:, 1] for finger in fingers]
        strengths = np.linalg.norm(forces, axis=1)
        presses = [
            strength >= FORCE and force @ outward > STEEP * strength
            for force, outward, strength in zip(forces, (axes[0], -axes[1]), strengths, strict=True)
        ]
        return all(presses), touched

    def in_base(self, pose: Pose) -> Float[np.ndarray, "9"]:
        """Return position and orientation as the robot's base sees them: the point, then two columns of the turn."""
        return np.concatenate([pose.point - BASE, pose.turn[:, 0], pose.turn[:, 1]])

    def render(self, camera: str) -> UInt8[np.ndarray, "_ _ 3"]:
        """Return the picture of a camera."""
        task = self._task
        task.scene.update_render(update_sensors=camera != "video", update_human_render_cameras=camera == "video")
        sensor = {**task._sensors, **task._human_render_cameras}[camera]
        eye = sensor.camera._render_cameras[0]
        eye.take_picture()
        return np.ascontiguousarray(eye.get_picture("Color")[..., :3])

    @property
    def opening(self) -> float:
        """Return the distance between the fingers in meters."""
        return float(self.joints[JOINTS:].sum())

    def close(self) -> None:
        """Release the scene."""
        self._task.close()


def _pose(pose: Any) -> Pose:
    return Pose(point=np.asarray(pose.p, np.float64), turn=_turn(pose.q))


def _turn(quaternion: Any) -> Float[np.ndarray, "3 3"]:
    """Return the rotation matrix of a quaternion, w first."""
    w, x, y, z = np.asarray(quaternion, np.float64)
    return rotation_matrix(np.array([x, y, z, w]))
