"""Things on the tabletop and what suction and spatula do to them, with contact physics by pymunk.

The plane of the table is simulated; height is kept as what rests on what. Every contact is solved in a new space, so
that an outcome depends on the poses alone.

Source: the workspace and the two tools are VIMA-Bench's (Jiang et al., 2022); the physics is ours.
"""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.tabletop.shapes import TEXELS, Shape

X_RANGE, Y_RANGE = (0.25, 0.75), (-0.5, 0.5)
"""The workspace in meters: x grows towards the viewer, y to the right."""
CUP_RADIUS = 0.02
"""Suction holds what lies within this distance of its point, in meters. Our own choice."""
BLADE_WIDTH = 0.06
"""Meters. Our own choice: VIMA-Bench's spatula is a mesh."""
RUN_UP, STOP_SHORT = 0.03, 0.02
"""Meters that the blade starts before pose 0, and stops before pose 1. VIMA-Bench: 0.02 and 0.05 for its blade."""
CONTAINER_FLOOR = 0.008
"""Height in meters of what lies in a container with walls."""
_MM = 1000.0
_SUBSTEP, _SPEED = 0.01, 250.0
_CHECK_EVERY = 6


@dataclass(kw_only=True)
class TableObject:
    """One object on the table."""

    shape: Shape
    texture: str
    x: float = 0.0
    """Meters."""
    y: float = 0.0
    """Meters."""
    angle: float = 0.0
    """Radians, counterclockwise as seen from above."""
    height: float = 0.0
    """Meters; 0 takes the shape's own."""
    fixed: bool = False
    """Whether it cannot be moved."""
    z: float = 0.0
    """Meters above the table."""
    support: int | None = None
    """The index of what it rests on or in; None is the table."""

    def __post_init__(self) -> None:
        """Take the shape's height where none is given."""
        self.height = self.height or self.shape.height

    def to_world(self, local: tuple[float, float]) -> tuple[float, float]:
        """Return where a point of the object's own frame is, in meters."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + cos * local[0] - sin * local[1], self.y + sin * local[0] + cos * local[1]

    def to_local(self, x: float, y: float) -> tuple[float, float]:
        """Return a point in the object's own frame."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return cos * (x - self.x) + sin * (y - self.y), -sin * (x - self.x) + cos * (y - self.y)

    def grasp_point(self) -> tuple[float, float]:
        """Return where suction holds best; it does not turn with a round object, whose angle cannot be seen."""
        if self.shape.symmetry:
            return self.to_world(self.shape.grasp_point)
        return self.x, self.y + math.hypot(*self.shape.grasp_point)

    def hull_corners(self) -> Float[np.ndarray, "n 2"]:
        """Return the corners of the convex hull, in meters."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array(self.shape.hull) @ np.array([[cos, sin], [-sin, cos]]) + np.array([self.x, self.y])


def distance_to(obj: TableObject, x: float, y: float) -> float:
    """Return the distance in meters from a point to an object as seen from above, 0 on the object."""
    across, along = obj.to_local(x, y)
    size_x, size_y = obj.shape.size
    if abs(across) < size_x / 2 and abs(along) < size_y / 2:
        texel = int((across / size_x + 0.5) * TEXELS), int((along / size_y + 0.5) * TEXELS)
        if obj.shape.tone[texel] > 0:
            return 0.0
    return float(np.hypot(*(obj.shape.edge_points - np.array([across, along])).T).min())


class Scene:
    """The objects on the table, changed by whole picks and sweeps."""

    def __init__(self, objects: list[TableObject]) -> None:
        self.objects = objects

    def copy(self) -> "Scene":
        """Return a scene of its own with the same objects."""
        return Scene([copy(obj) for obj in self.objects])

    def settle(self) -> None:
        """Take note of which objects begin inside a container."""
        for index, obj in enumerate(self.objects):
            holders = [
                other for other, place in enumerate(self.objects) if place.fixed and self._contains_center(other, obj)
            ]
            if not obj.fixed and holders and obj.shape.name != "small block":
                obj.support = holders[0]
                self._update_height(index)

    def resting_on(self, index: int) -> list[int]:
        """Return the objects that rest on or in this one, directly."""
        return [other for other, obj in enumerate(self.objects) if obj.support == index]

    def grasped_at(self, x: float, y: float) -> int | None:
        """Return what suction holds at a point: the topmost movable obj under the cup, or nothing."""
        found = [
            (-obj.z, distance_to(obj, x, y), index)
            for index, obj in enumerate(self.objects)
            if not obj.fixed and math.dist((obj.x, obj.y), (x, y)) <= obj.shape.radius + CUP_RADIUS
        ]
        held = [candidate for candidate in found if candidate[1] <= CUP_RADIUS]
        return min(held)[2] if held else None

    def pick_and_place(self, start: tuple[float, float], end: tuple[float, float], turn: float) -> int | None:
        """Pick at one point, put down at another, turned; return what was moved, if anything was there."""
        index = self.grasped_at(*start)
        if index is None:
            return None
        obj = self.objects[index]
        offset_x, offset_y = obj.x - start[0], obj.y - start[1]
        cos, sin = math.cos(turn), math.sin(turn)
        for other in self.resting_on(index):
            self.objects[other].support = obj.support
            self._update_height(other)
        obj.x = end[0] + cos * offset_x - sin * offset_y
        obj.y = end[1] + sin * offset_x + cos * offset_y
        obj.angle = _wrapped(obj.angle + turn)
        self.drop(index)
        return index

    def drop(self, index: int) -> None:
        """Let a obj come to rest where it is: in a container, on what its center is over, or beside what it hits."""
        obj = self.objects[index]
        obj.support, obj.z = None, 0.0
        near = [other for other in range(len(self.objects)) if other != index and self._touches(index, other)]
        inside = [other for other in near if self.objects[other].fixed and self._contains_center(other, obj)]
        movable = [other for other in near if not self.objects[other].fixed]
        if inside:
            obj.support = inside[0]
            contained = [other for other in movable if self._bottom_of(other) == inside[0]]
            under = contained or [inside[0]]
        else:
            center = np.array([[obj.x, obj.y]])
            under = [other for other in movable if _overlap(center, self.objects[other].hull_corners())]
        if under:
            obj.support = max(under, key=lambda other: self.objects[other].z + self.objects[other].height)
            self._update_height(index)
        elif any(not self.objects[other].fixed or self.objects[other].shape.has_walls for other in near):
            self._resolve_overlaps(index)

    def sweep(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        watch: Callable[[list[TableObject]], None] | None = None,
    ) -> None:
        """Sweep the blade from one point to another; `watch` sees the objects every few millimeters."""
        along = np.array(end) - np.array(start)
        length = float(np.hypot(*along))
        if length < 1e-6:
            return
        along = along / length
        first = (np.array(start) - RUN_UP * along) * _MM
        travel = (length + RUN_UP - STOP_SHORT) * _MM
        across = np.array([-along[1], along[0]]) * BLADE_WIDTH * _MM / 2
        space, bodies = self._space()
        pymunk = require_pymunk()
        blade = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        blade.position = float(first[0]), float(first[1])
        blade.velocity = float(along[0] * _SPEED), float(along[1] * _SPEED)
        sides = (-float(across[0]), -float(across[1])), (float(across[0]), float(across[1]))
        edge = pymunk.Segment(blade, *sides, 4.0)
        edge.friction = 0.6
        space.add(blade, edge)
        steps = max(int(travel / (_SPEED * _SUBSTEP)), 0)
        for step in range(steps):
            space.step(_SUBSTEP)
            if watch is not None and step % _CHECK_EVERY == 0:
                self._read_poses(bodies)
                watch(self.objects)
        self._read_poses(bodies)
        if watch is not None:
            watch(self.objects)

    def _resolve_overlaps(self, index: int) -> None:
        space, bodies = self._space(only_near=index)
        for _ in range(60):
            space.step(_SUBSTEP)
        self._read_poses(bodies)

    def _space(self, only_near: int | None = None) -> tuple[Any, dict[int, Any]]:
        """Build a space of what lies on the table and of the walls of containers, in the order of the objects."""
        pymunk = require_pymunk()
        space = pymunk.Space()
        space.damping = 0.0  # sliding stops at once, as on a rough table
        bodies: dict[int, Any] = {}
        for index, obj in enumerate(self.objects):
            if (obj.fixed and not obj.shape.has_walls) or obj.support is not None:
                continue
            if (
                only_near is not None
                and index != only_near
                and math.dist((obj.x, obj.y), (self.objects[only_near].x, self.objects[only_near].y)) > 0.5
            ):
                continue
            mass = 1.0
            hull = [(x * _MM, y * _MM) for x, y in obj.shape.hull]
            body = (
                pymunk.Body(body_type=pymunk.Body.STATIC)
                if obj.fixed
                else pymunk.Body(mass, pymunk.moment_for_poly(mass, hull))
            )
            body.angle = obj.angle
            body.position = obj.x * _MM, obj.y * _MM
            shape = pymunk.Poly(body, hull)
            shape.friction = 0.4
            space.add(body, shape)
            if not obj.fixed:
                bodies[index] = body
        return space, bodies

    def _read_poses(self, bodies: dict[int, Any]) -> None:
        for index, body in bodies.items():
            obj = self.objects[index]
            before = obj.x, obj.y
            obj.x, obj.y = body.position.x / _MM, body.position.y / _MM
            obj.angle = _wrapped(body.angle)
            if before != (obj.x, obj.y):
                self._shift_supported(index, obj.x - before[0], obj.y - before[1])

    def _shift_supported(self, index: int, x: float, y: float) -> None:
        for other in self.resting_on(index):
            self.objects[other].x += x
            self.objects[other].y += y
            self._shift_supported(other, x, y)

    def _update_height(self, index: int) -> None:
        obj = self.objects[index]
        if obj.support is None:
            obj.z = 0.0
        else:
            below = self.objects[obj.support]
            obj.z = min(CONTAINER_FLOOR, below.height) if below.fixed else below.z + below.height
        for other in self.resting_on(index):
            self._update_height(other)

    def _bottom_of(self, index: int) -> int:
        support = self.objects[index].support
        return index if support is None else self._bottom_of(support)

    def _touches(self, first: int, second: int) -> bool:
        one, two = self.objects[first], self.objects[second]
        apart = math.dist((one.x, one.y), (two.x, two.y))
        if apart > one.shape.radius + two.shape.radius:
            return False
        return _overlap(one.hull_corners(), two.hull_corners())

    def _contains_center(self, index: int, obj: TableObject) -> bool:
        return _overlap(np.array([[obj.x, obj.y]]), self.objects[index].hull_corners())


def _overlap(one: Float[np.ndarray, "n 2"], two: Float[np.ndarray, "m 2"]) -> bool:
    """Tell whether two convex outlines overlap: no edge of either separates them."""
    for a, b in ((one, two), (two, one)):
        edges = np.roll(a, -1, axis=0) - a
        normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
        normals = normals[np.abs(normals).sum(axis=1) > 0]
        if ((b @ normals.T).min(axis=0) > (a @ normals.T).max(axis=0)).any():
            return False
    return True


def _wrapped(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


@cache
def require_pymunk() -> Any:
    """Return pymunk.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        import pymunk
    except ImportError as error:
        raise ValueError(f"the tabletop needs pymunk: pip install '.[tabletop]' in Astra's folder ({error})") from error
    return pymunk
