"""The tabletop scene: the effect of suction and spatula on objects, with contact physics by pymunk.

Only the plane of the table is simulated. Heights follow from what rests on what. Every contact is solved in a new
space, so an outcome depends on the poses alone.

Source: the workspace and the two tools are VIMA-Bench's (Jiang et al., 2022); the physics is ours.
"""

import math
from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.tabletop.table_object import TableObject, distance_to

CUP_RADIUS = 0.02
"""Radius in meters within which suction holds an object. Our choice."""
BLADE_WIDTH = 0.06
"""Meters. Our choice: VIMA-Bench's spatula is a mesh."""
RUN_UP, STOP_SHORT = 0.03, 0.02
"""Distances in meters by which the blade starts before pose 0 and stops before pose 1. VIMA-Bench: 0.02 and 0.05."""
CONTAINER_FLOOR = 0.008
"""Height in meters of an object inside a container with walls."""
_MM = 1000.0
_SUBSTEP, _SPEED = 0.01, 250.0
_CHECK_EVERY = 6


class Scene:
    """Objects on the table, changed by whole picks and sweeps."""

    def __init__(self, objects: list[TableObject]) -> None:
        self.objects = objects

    def copy(self) -> "Scene":
        """Return an independent copy of the scene."""
        return Scene([copy(obj) for obj in self.objects])

    def settle(self) -> None:
        """Set the support of objects that start inside a container."""
        for index, obj in enumerate(self.objects):
            holders = [
                other for other, place in enumerate(self.objects) if place.fixed and self._contains_center(other, obj)
            ]
            if not obj.fixed and holders and obj.shape.name != "small block":
                obj.support = holders[0]
                self._update_height(index)

    def resting_on(self, index: int) -> list[int]:
        """Return the indices of the objects that rest directly on or in this one."""
        return [other for other, obj in enumerate(self.objects) if obj.support == index]

    def grasped_at(self, x: float, y: float) -> int | None:
        """Return the index of the object that suction holds at a point: the topmost movable one, or None."""
        found = [
            (-obj.z, distance_to(obj, x, y), index)
            for index, obj in enumerate(self.objects)
            if not obj.fixed and math.dist((obj.x, obj.y), (x, y)) <= obj.shape.radius + CUP_RADIUS
        ]
        held = [candidate for candidate in found if candidate[1] <= CUP_RADIUS]
        return min(held)[2] if held else None

    def pick_and_place(self, start: tuple[float, float], end: tuple[float, float], turn: float) -> int | None:
        """Pick at one point and place at another, turned; return the index of the moved object, or None."""
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
        """Let an object come to rest: in a container, on an object under its center, or beside what it hits."""
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
        """Sweep the blade from one point to another. `watch` is called with the objects every few millimeters."""
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
        """Build a space of the objects on the table and the walls of containers, in the order of the objects."""
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
    """Whether two convex outlines overlap: no edge of either separates them."""
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
    """Return the module pymunk.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        import pymunk
    except ImportError as error:
        raise ValueError(
            f"the tabletop needs pymunk ({error}); run pip install '.[tabletop]' in Astra's folder"
        ) from error
    return pymunk
