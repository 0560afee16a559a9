"""The objects of the tasks: shapes, colors and sizes of targets, and the containers. Needs no simulator.

Lengths are in meters. A target lies on the table with its longest side along x and its shortest one upright, except for
those that stand. Shapes that are no box, sphere, cylinder or capsule are convex hulls of a few points.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

COLORS = {
    "red": (0.80, 0.08, 0.08),
    "green": (0.10, 0.55, 0.15),
    "blue": (0.10, 0.20, 0.80),
    "yellow": (0.90, 0.80, 0.10),
    "orange": (0.95, 0.42, 0.05),
    "purple": (0.45, 0.10, 0.60),
}
"""Red, green and blue of each color, 0 to 1."""
SIZES = {"small": 0.7, "": 1.0, "big": 1.4}
"""Factor of each size word; the regular size has none."""
OPENING = 0.08
"""Largest opening of the gripper."""
WIDEST = OPENING / 2 - 0.002
"""Half of the largest width that is gripped."""
Kind = Literal["box", "sphere", "cylinder", "capsule", "hull"]
Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A shape of regular size."""

    kind: Kind
    """Geometry."""
    half: tuple[float, float, float]
    """Half of the extent along x, y and z. A capsule's long axis is x, a cylinder's is z."""
    axis: Literal["", "x", "z", "any"] = ""
    """Axis of rotational symmetry; any: a ball."""
    grip: float = 0.0
    """Height at which it is gripped, in units of half its height; 0 is the middle."""
    corners: tuple[tuple[float, float, float], ...] = ()
    """Points of a hull, in units of `half`."""

    @property
    def is_round(self) -> bool:
        """Whether the fingers may close in any horizontal direction while it stands."""
        return self.axis in ("any", "z")


def _ring(height: float, radius: float, count: int) -> tuple[tuple[float, float, float], ...]:
    angles = [2 * math.pi * number / count for number in range(count)]
    return tuple((radius * math.cos(angle), radius * math.sin(angle), height) for angle in angles)


SHAPES = {
    "ball": Shape(kind="sphere", half=(0.022, 0.022, 0.022), axis="any"),
    "can": Shape(kind="cylinder", half=(0.021, 0.021, 0.028), axis="z"),
    "cube": Shape(kind="box", half=(0.021, 0.021, 0.021)),
    "bar": Shape(kind="box", half=(0.055, 0.016, 0.016)),
    "sausage": Shape(kind="capsule", half=(0.050, 0.016, 0.016), axis="x"),
    "brick": Shape(kind="box", half=(0.052, 0.034, 0.026)),
    "ruler": Shape(kind="box", half=(0.060, 0.014, 0.006)),
    "rock": Shape(
        kind="hull",
        half=(0.036, 0.030, 0.024),
        corners=(
            *((-0.8, -0.6, -1.0), (0.7, -0.8, -1.0), (0.9, 0.5, -1.0), (-0.5, 0.9, -1.0), (-1.0, 0.1, -0.1)),
            *(
                (1.0, -0.1, 0.0),
                (0.1, -1.0, 0.1),
                (0.2, 1.0, 0.0),
                (-0.5, -0.4, 1.0),
                (0.5, 0.3, 1.0),
                (-0.3, 0.5, 0.9),
            ),
        ),
    ),
    "egg": Shape(
        kind="hull",
        half=(0.030, 0.022, 0.022),
        axis="x",
        corners=tuple(
            (x, y * (1 - 0.25 * x), z * (1 - 0.25 * x))
            for x, radius in (
                (-1.0, 0.0),
                (-0.8, 0.55),
                (-0.4, 0.88),
                (0.0, 1.0),
                (0.45, 0.93),
                (0.85, 0.6),
                (1.0, 0.0),
            )
            for y, z, _ in _ring(0.0, radius, 12)
        ),
    ),
    "cone": Shape(
        kind="hull",
        half=(0.026, 0.026, 0.030),
        axis="z",
        grip=-0.5,
        corners=(*_ring(-1.0, 1.0, 16), *_ring(1.0, 0.15, 8)),
    ),
    "wedge": Shape(
        kind="hull",
        half=(0.034, 0.021, 0.022),
        corners=tuple((x, y, z) for y in (-1.0, 1.0) for x, z in ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (-0.4, 1.0))),
    ),
    "tile": Shape(kind="box", half=(0.030, 0.030, 0.007)),
    "gem": Shape(
        kind="hull",
        half=(0.026, 0.026, 0.024),
        corners=(*_ring(-1.0, 0.75, 6), *_ring(0.0, 1.0, 6), *_ring(1.0, 0.45, 6)),
    ),
}
"""Every shape by its word."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An object that can be grasped, described by three words."""

    shape: str
    """Word of the shape."""
    color: str
    """Word of the color."""
    size: str = ""
    """Word of the size; empty: regular."""

    def __post_init__(self) -> None:
        """Check the words.

        Raises:
            ValueError: if one is unknown.
        """
        for kind, word, known in (
            ("shape", self.shape, SHAPES),
            ("color", self.color, COLORS),
            ("size", self.size, SIZES),
        ):
            if word not in known:
                raise ValueError(f"there is no {kind} {word!r}; there are {', '.join(filter(None, known))}")

    @property
    def words(self) -> str:
        """Words of the object, such as "small red ball"."""
        return " ".join(filter(None, (self.size, self.color, self.shape)))

    @property
    def half(self) -> Float[np.ndarray, "3"]:
        """Half of the extent along x, y and z."""
        return np.array(SHAPES[self.shape].half) * SIZES[self.size]

    @property
    def radius(self) -> float:
        """Radius of the circle around the object, seen from above."""
        shape = SHAPES[self.shape]
        corners = shape.kind == "box" or self.shape == "wedge"
        return float(np.hypot(*self.half[:2])) if corners else float(max(self.half[:2]))

    @property
    def difficulty(self) -> Difficulty:
        """Difficulty: easy is round and of regular size; hard is thin, or oversized and not round; medium is the rest.

        Source: appendix A.6.
        """
        if is_thin(self) or (is_oversized(self) and not SHAPES[self.shape].is_round):
            return "hard"
        return "easy" if SHAPES[self.shape].is_round and not self.size else "medium"


def is_thin(target: Target) -> bool:
    """Whether an object is so low that the fingers come close to the table."""
    return bool(target.half[2] < 0.01)


def is_oversized(target: Target) -> bool:
    """Whether the open gripper leaves less than 1.25 cm on each side of an object."""
    return bool(OPENING / 2 - min(target.half[:2]) < 0.0125)


def is_graspable(target: Target) -> bool:
    """Whether an object fits between the fingers."""
    return bool(min(target.half[:2]) <= WIDEST)


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container: a floor and straight walls around it, which lean outwards."""

    sides: int
    """Number of walls; 4 make a rectangle."""
    inner: tuple[float, float]
    """Half of the floor's extent along x and y, up to the middle of a wall."""
    height: float
    """Height of the walls."""
    lean: float = 0.0
    """Angle in degrees by which the walls lean outwards."""
    color: tuple[float, float, float]
    """Red, green and blue, 0 to 1."""
    handle: float = 0.0
    """Length of a handle along x; 0: none."""

    @property
    def radius(self) -> float:
        """Radius of the circle around the container, seen from above, without the handle."""
        flare = self.height * math.tan(math.radians(self.lean)) + WALL
        if self.sides == 4:
            return math.hypot(self.inner[0] + flare, self.inner[1] + flare)
        return (self.inner[0] + flare) / math.cos(math.pi / self.sides)

    def holds(self, target: Target, point: Float[np.ndarray, "3"]) -> bool:
        """Whether an object lies in the container, not above it.

        Args:
            target: The object.
            point: Its middle in the container's frame: within the walls at their rim, above the floor, and above the
                rim by at most half of the object's height and 1 cm.
        """
        flare = self.height * math.tan(math.radians(self.lean))
        x, y = point[:2]
        if self.sides == 4:
            inside = abs(x) < self.inner[0] + flare and abs(y) < self.inner[1] + flare
        else:
            angles = 2 * math.pi * np.arange(self.sides) / self.sides
            inside = bool((x * np.cos(angles) + y * np.sin(angles) < self.inner[0] + flare).all())
        return bool(inside and 0 < point[2] < self.height + target.half[2] + ABOVE)


WALL = 0.005
"""Thickness of walls and floors."""
ABOVE = 0.01
"""Largest height above the rim of the underside of an object that lies in a container."""
CONTAINERS = {
    "bowl": Container(sides=10, inner=(0.050, 0.050), height=0.040, lean=30.0, color=(0.92, 0.92, 0.88)),
    "tray": Container(sides=4, inner=(0.095, 0.070), height=0.018, color=(0.45, 0.28, 0.14)),
    "box": Container(sides=4, inner=(0.068, 0.068), height=0.050, color=(0.30, 0.32, 0.36)),
    "pot": Container(sides=12, inner=(0.066, 0.066), height=0.060, color=(0.10, 0.10, 0.12)),
    "plate": Container(sides=12, inner=(0.065, 0.065), height=0.010, lean=60.0, color=(0.75, 0.85, 0.92)),
    "basket": Container(sides=6, inner=(0.062, 0.062), height=0.045, lean=15.0, color=(0.80, 0.65, 0.42)),
    "pan": Container(sides=12, inner=(0.075, 0.075), height=0.025, lean=10.0, color=(0.16, 0.17, 0.20), handle=0.11),
}
"""Every container by its word."""


def hull(target: Target) -> Float[np.ndarray, "P 3"]:
    """Return the points of a hull in meters."""
    return np.array(SHAPES[target.shape].corners) * target.half


def instruction_for(target: Target, container: str) -> str:
    """Return the instruction of a task, in the words of Figure 6's, "pick blue tea box and place into clear box"."""
    return f"pick {target.words} and place into {container}"
