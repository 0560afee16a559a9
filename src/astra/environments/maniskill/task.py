"""The task in ManiSkill's own API: a table, the objects of a layout and the robot; its cameras are in `cameras`."""

import atexit
import functools
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from astra.environments.maniskill.drawing.cameras import with_cameras
from astra.environments.maniskill.layout import Layout, Place
from astra.environments.maniskill.objects import COLORS, CONTAINERS, SHAPES, WALL, Container, Target
from astra.environments.maniskill.package import maniskill

BASE = (-0.615, 0.0, 0.0)
"""Place of the robot's base. Source: ManiSkill's own tasks on a table."""
REST = (0.0, math.pi / 8, 0.0, -5 * math.pi / 8, 0.0, 3 * math.pi / 4, math.pi / 4, 0.04, 0.04)
"""Joints and fingers at rest. Source: ManiSkill's keyframe of the robot."""
TABLE = ((-0.80, 0.80), (-1.0, 1.0), 0.05)
"""Extent of the table along x and y, and its thickness; its top is at height 0."""
WOOD = (0.62, 0.52, 0.42)
DAMPING = 3.0
"""Share of its angular velocity that an object loses per second; a ball that is dropped would roll away forever."""


@functools.cache
def task_class() -> Any:
    """Return the class of the task, a `BaseEnv` of ManiSkill.

    Its constructor takes the layout with which it begins and the sides in pixels of the three cameras, by name. Set
    `layout` and call `reset` for another one; everything is built anew then, so that equal layouts give equal episodes.

    Raises:
        ValueError: if ManiSkill is missing or cannot run.
    """
    modules = maniskill()
    sapien = modules["sapien"]
    base: Any = with_cameras(modules["base"].BaseEnv)

    class PickAndPlace(base):
        """Pick an object and place it into a container."""

        SUPPORTED_ROBOTS = ("panda",)
        SUPPORTED_REWARD_MODES = ("none",)

        def __init__(self, layout: Layout, sides: dict[str, int]) -> None:
            self.layout = layout
            super().__init__(sides)

        def _load_agent(self, options: dict[str, Any]) -> None:
            super()._load_agent(options, sapien.Pose(BASE))

        def _load_scene(self, options: dict[str, Any]) -> None:
            paint = functools.partial(_paint, sapien)
            self._add_table(paint(WOOD))
            container = CONTAINERS[self.layout.combination.container]
            self.container = self._add_container(container, self.layout.container, paint(container.color))
            self.objects = [
                self._add_object(number, target, place, paint(COLORS[target.color]))
                for number, (target, place) in enumerate(self.layout.objects)
            ]

        def _add_table(self, material: Any) -> None:
            (west, east), (south, north), thickness = TABLE
            half = [(east - west) / 2, (north - south) / 2, thickness / 2]
            builder = self.scene.create_actor_builder()
            builder.add_box_collision(half_size=half)
            builder.add_box_visual(half_size=half, material=material)
            builder.initial_pose = sapien.Pose([(west + east) / 2, (south + north) / 2, -thickness / 2])
            builder.build_static(name="table")

        def _add_container(self, container: Container, place: Place, material: Any) -> Any:
            builder = self.scene.create_actor_builder()
            for center, turn, half in parts_of(container):
                pose = sapien.Pose(center, turn)
                builder.add_box_collision(pose, half)
                builder.add_box_visual(pose, half, material)
            builder.initial_pose = _upright(sapien, place, 0.0)
            return builder.build_kinematic(name="container")

        def _add_object(self, number: int, target: Target, place: Place, material: Any) -> Any:
            builder, shape = self.scene.create_actor_builder(), SHAPES[target.shape]
            half = target.half
            match shape.kind:
                case "box":
                    builder.add_box_collision(half_size=half)
                    builder.add_box_visual(half_size=half, material=material)
                case "sphere":
                    builder.add_sphere_collision(radius=half[0])
                    builder.add_sphere_visual(radius=half[0], material=material)
                case "cylinder":  # its own axis is x; turned to stand
                    pose = sapien.Pose([0, 0, 0], [math.cos(math.pi / 4), 0, math.sin(math.pi / 4), 0])
                    builder.add_cylinder_collision(pose, half[0], half[2])
                    builder.add_cylinder_visual(pose, half[0], half[2], material)
                case "capsule":
                    builder.add_capsule_collision(radius=half[1], half_length=half[0] - half[1])
                    builder.add_capsule_visual(radius=half[1], half_length=half[0] - half[1], material=material)
                case "hull":
                    file, scale = str(hull_file(target.shape)), half
                    builder.add_convex_collision_from_file(file, scale=scale)
                    builder.add_visual_from_file(file, scale=scale, material=material)
            builder.initial_pose = _upright(sapien, place, half[2] + 0.001)
            actor = builder.build(name=f"object {number}")
            actor.set_angular_damping(DAMPING)
            return actor

        def _initialize_episode(self, env_idx: Any, options: dict[str, Any]) -> None:
            joints = np.array(REST)
            joints[: len(self.layout.joints)] += self.layout.joints
            self.agent.reset(joints)

        def evaluate(self) -> dict[str, Any]:
            """Return nothing: success is defined by the environment."""
            return {}

    return PickAndPlace


def parts_of(container: Container) -> list[tuple[list[float], list[float], list[float]]]:
    """Return the boxes of a container: center, quaternion (w, x, y, z) and half of the extent of each."""
    lean = math.radians(container.lean)
    x, y = container.inner
    parts: list[tuple[list[float], list[float], list[float]]] = []
    if container.sides == 4:
        parts.append(([0.0, 0.0, WALL / 2], [1.0, 0.0, 0.0, 0.0], [x, y, WALL / 2]))
    else:  # two boxes cover a floor of many sides well enough
        for angle in (math.pi * number / container.sides for number in range(container.sides // 2)):
            along = x * math.tan(math.pi / container.sides)
            parts.append(([0.0, 0.0, WALL / 2], _about_z(2 * angle), [x, along, WALL / 2]))
    for number in range(container.sides):
        angle = 2 * math.pi * number / container.sides
        far = (x, y)[number % 2] if container.sides == 4 else x
        rim = far + container.height * math.tan(lean)
        width = (y, x)[number % 2] if container.sides == 4 else rim * math.tan(math.pi / container.sides)
        middle = (far + rim) / 2 + WALL / 2
        center = [middle * math.cos(angle), middle * math.sin(angle), container.height / 2]
        half = [WALL / 2, width + WALL, container.height / math.cos(lean) / 2]
        parts.append((center, _times(_about_z(angle), [math.cos(lean / 2), 0.0, math.sin(lean / 2), 0.0]), half))
    if container.handle:
        center = [x + container.height * math.tan(lean) + container.handle / 2, 0.0, container.height - 0.006]
        parts.append((center, [1.0, 0.0, 0.0, 0.0], [container.handle / 2, 0.010, 0.006]))
    return parts


@functools.cache
def hull_file(shape: str) -> Path:
    """Return a file with the convex hull of a shape, twice as large as a unit cube; it is removed when Python ends."""
    folder = Path(tempfile.mkdtemp(prefix="astra-hulls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    corners = np.array(SHAPES[shape].corners)
    hull = maniskill()["hulls"].ConvexHull(corners)
    lines: list[str] = []
    for number, (triangle, plane) in enumerate(zip(hull.simplices, hull.equations, strict=True)):
        points, outward = corners[triangle], plane[:3]
        if np.cross(points[1] - points[0], points[2] - points[0]) @ outward < 0:
            points = points[::-1]
        lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points]
        lines.append("vn {:.6f} {:.6f} {:.6f}".format(*outward))
        first = 3 * number + 1
        lines.append(f"f {first}//{number + 1} {first + 1}//{number + 1} {first + 2}//{number + 1}")
    file = folder / f"{shape}.obj"
    file.write_text("\n".join(lines) + "\n")
    return file


def _paint(sapien: Any, color: tuple[float, float, float]) -> Any:
    return sapien.render.RenderMaterial(base_color=[*color, 1.0])


def _upright(sapien: Any, place: Place, height: float) -> Any:
    return sapien.Pose([place.x, place.y, height], _about_z(place.yaw))


def _about_z(angle: float) -> list[float]:
    return [math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)]


def _times(first: list[float], second: list[float]) -> list[float]:
    """Return the product of two quaternions, w first."""
    (w, x, y, z), (a, b, c, d) = first, second
    return [
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    ]
