"""Pictures of CALVIN's two cameras, drawn with less work: TinyRenderer transforms every triangle of a visible link.

The static camera does not move, so what never moves is drawn once for it. For the gripper's camera, links that it
cannot see are left out.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from astra.environments.calvin.clones import Clones, load_yaml

MARGIN = 0.005
"""Meters by which a link may be larger than the box around its collision shape."""
Picture = tuple[UInt8[np.ndarray, "side side 3"], Float[np.ndarray, "side side"]]
"""Colors, and distances in meters."""
Shape = tuple[int, int, tuple[float, float, float, float]]
"""One drawn shape of a link: number of the body, number of the link (-1 is the body's base), color."""


class Cameras:
    """The cameras of one scene.

    Args:
        clones: The user's clones.
        client: The client of pybullet, in which the scene is loaded.
        robot: Number of the robot.
        blocks: Numbers of the blocks.
    """

    def __init__(self, clones: Clones, client: Any, robot: int, blocks: tuple[int, ...]) -> None:
        self._clones, self._client, self._robot = clones, client, robot
        links = [shape[:2] for shape in self._shapes()]
        self._still = {(body, link) for body, link in links if body not in blocks and self._is_fixed(body, link)}
        """Links that never move: the floor, the robot's pedestal and base, the table and its lights."""
        self._solid = {(body, link) for body, link in links if client.getCollisionShapeData(body, link)}
        """Links around which pybullet knows a box."""
        self._cameras: dict[tuple[str, int], Any] = {}
        self._backgrounds: dict[int, tuple[list[Shape], Picture]] = {}

    def render(self, name: str, side: int) -> UInt8[np.ndarray, "side side 3"]:
        """Render the camera `static` or `gripper`, square with a side in pixels."""
        camera, shapes = self._camera(name, side), self._shapes()
        if name == "gripper":
            with self._hidden(self._out_of_sight(camera, shapes)):
                return np.ascontiguousarray(camera.render()[0], np.uint8)
        still = [shape for shape in shapes if shape[:2] in self._still]
        if side not in self._backgrounds or self._backgrounds[side][0] != still:  # a light has another color
            with self._hidden([shape for shape in shapes if shape[:2] not in self._still]):
                pixels, distances = camera.render()
            self._backgrounds[side] = still, (pixels.copy(), distances.copy())
        with self._hidden(still):
            pixels, distances = camera.render()
        behind, distances_behind = self._backgrounds[side][1]
        return np.where((distances < distances_behind)[..., None], pixels, behind).astype(np.uint8, copy=False)

    def _is_fixed(self, body: int, link: int) -> bool:
        """Whether a link is the base of its body, or fixed to it."""
        while link >= 0:
            joint = self._client.getJointInfo(body, link)
            if joint[2] != self._client.JOINT_FIXED:
                return False
            link = joint[16]
        return True

    def _shapes(self) -> list[Shape]:
        bodies = range(self._client.getNumBodies())
        return [(found[0], found[1], found[7]) for body in bodies for found in self._client.getVisualShapeData(body)]

    def _out_of_sight(self, camera: Any, shapes: list[Shape]) -> list[Shape]:
        """Return the links whose boxes lie outside of one of the five planes around what the gripper's camera sees."""
        position, quaternion = self._client.getLinkState(self._robot, camera.gripper_cam_link)[:2]
        right, forward, up = np.array(self._client.getMatrixFromQuaternion(quaternion)).reshape(3, 3).T
        half = np.deg2rad(camera.fov / 2)
        edges = [np.sin(half) * forward + np.cos(half) * side for side in (right, -right, up, -up)]
        inward = np.array([forward, *edges])[:, None]
        solid = [shape for shape in shapes if shape[:2] in self._solid]
        boxes = np.array([self._client.getAABB(body, link) for body, link, _ in solid])
        innermost = np.where(inward > 0, boxes[:, 1], boxes[:, 0])
        outside = (((innermost - position) * inward).sum(axis=-1) < -MARGIN).any(axis=0)
        return [shape for shape, hidden in zip(solid, outside, strict=True) if hidden]

    @contextmanager
    def _hidden(self, shapes: list[Shape]) -> Iterator[None]:
        """Draw without some shapes; the renderer skips what is fully transparent."""
        change = self._client.changeVisualShape
        for body, link, color in shapes:
            change(body, link, rgbaColor=(*color[:3], 0.0))
        try:
            yield
        finally:
            for body, link, color in shapes:
                change(body, link, rgbaColor=color)

    def _camera(self, name: str, side: int) -> Any:
        if (name, side) not in self._cameras:
            made = getattr(importlib.import_module(f"calvin_env.camera.{name}_camera"), f"{name.title()}Camera")
            settings = load_yaml(self._clones.environment / f"conf/cameras/cameras/{name}.yaml")
            del settings["_target_"]
            sized = {**settings, "width": side, "height": side}
            self._cameras[name, side] = made(**sized, cid=self._client._client, robot_id=self._robot)
        return self._cameras[name, side]
