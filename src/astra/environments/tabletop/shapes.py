"""Shapes of the tabletop objects, by VIMA-Bench's names: outline, size, height, symmetry and profile.

Source: names, sizes (meters), symmetries and profiles are VIMA-Bench's (Jiang et al., 2022, its list of objects); the
outlines are drawn by our own formulas.
Deviation: blocks and shorter blocks have a symmetry of 90 degrees, as squares do; VIMA-Bench lists 45 degrees. Flat
objects are 2 mm high.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

TEXELS = 96
"""Height and width of an outline, in texels."""
FLOOR_TONE = 0.62
"""Brightness of a container's floor."""

_U, _V = np.meshgrid(*2 * [(np.arange(TEXELS) + 0.5) / TEXELS - 0.5], indexing="ij")
_RADIUS, _ANGLE = np.hypot(_U, _V), np.arctan2(_V, _U)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One kind of object."""

    name: str
    """VIMA-Bench's name."""
    size: tuple[float, float]
    """Meters along the object's own x (downwards in the top view at angle 0) and y (to the right)."""
    height: float
    """Meters."""
    tone: Float32[np.ndarray, "96 96"]
    """Brightness over the bounding rectangle, x by y: 0 outside the object, 1 on top."""
    symmetry: float = 2 * math.pi
    """Smallest rotation in radians that leaves the shape unchanged; 0 for a round object."""
    profile: Literal["square", "circle", "other"] = "other"
    """Outline that "the same profile" compares."""
    has_walls: bool = False
    """Whether it is a container with walls, which stop sliding objects."""

    @cached_property
    def covered_points(self) -> Float[np.ndarray, "n 2"]:
        """Centers of the covered texels in the object's own frame, in meters."""
        covered = self.tone > 0
        return np.stack([_U[covered], _V[covered]], axis=1) * np.array(self.size)

    @cached_property
    def radius(self) -> float:
        """Distance in meters from the center to the farthest covered point."""
        return float(np.hypot(*self.covered_points.T).max()) + self.size[0] / TEXELS / 2

    @cached_property
    def hull(self) -> list[tuple[float, float]]:
        """Convex hull: the farthest covered point in each of 24 directions, in meters."""
        directions = np.arange(24) * 2 * math.pi / 24
        farthest = (self.covered_points @ np.stack([np.cos(directions), np.sin(directions)])).argmax(axis=0)
        return [(float(x), float(y)) for x, y in self.covered_points[farthest]]

    @cached_property
    def edge_points(self) -> Float[np.ndarray, "n 2"]:
        """Covered points next to an uncovered one, in meters."""
        covered = np.pad(self.tone > 0, 1)
        within = covered[:-2, 1:-1] & covered[2:, 1:-1] & covered[1:-1, :-2] & covered[1:-1, 2:]
        rim = (self.tone > 0) & ~within
        return np.stack([_U[rim], _V[rim]], axis=1) * np.array(self.size)

    @cached_property
    def grasp_point(self) -> tuple[float, float]:
        """Point where suction holds best, in the object's own frame: on the object, off its edges, near its center."""
        inside = self.covered_points[:: max(1, len(self.covered_points) // 2000)]
        clearance = np.array([np.hypot(*(self.edge_points - point).T).min() for point in inside])
        x, y = inside[np.argmax(np.minimum(clearance, 0.012) - 0.2 * np.hypot(*inside.T))]
        return float(x), float(y)


def _lines(strokes: Sequence[Sequence[tuple[float, float]]], width: float = 0.2) -> np.ndarray:
    """Draw strokes given in (right, up); up is -x, as in the top view."""
    covered = np.zeros((TEXELS, TEXELS), dtype=bool)
    for stroke in strokes:
        for (right0, up0), (right1, up1) in pairwise(stroke):
            along = np.array([-(up1 - up0), right1 - right0])
            share = ((_U + up0) * along[0] + (_V - right0) * along[1]) / max(float(along @ along), 1e-9)
            share = np.clip(share, 0, 1)
            covered |= np.hypot(_U + up0 - share * along[0], _V - right0 - share * along[1]) < width / 2
    return covered


def _arc(radius: float, first: float, last: float) -> list[tuple[float, float]]:
    return [(radius * math.cos(a), radius * math.sin(a)) for a in np.radians(np.linspace(first, last, 24))]


def _polygon(sides: int) -> np.ndarray:
    folded = (_ANGLE + math.pi) % (2 * math.pi / sides) - math.pi / sides
    return _RADIUS * np.cos(folded) < 0.5 * math.cos(math.pi / sides)


def _star() -> np.ndarray:
    folded = np.abs((_ANGLE + math.pi) % (2 * math.pi / 5) - math.pi / 5) / (math.pi / 5)
    tip, dent = 0.5, 0.2
    x, y = _RADIUS * np.cos(folded * math.pi / 5), _RADIUS * np.sin(folded * math.pi / 5)
    dent_x, dent_y = dent * math.cos(0.0), dent * math.sin(0.0)
    tip_x, tip_y = tip * math.cos(math.pi / 5), tip * math.sin(math.pi / 5)
    return (tip_x - dent_x) * (y - dent_y) - (tip_y - dent_y) * (x - dent_x) > 0


def _heart() -> np.ndarray:
    right, up = _V * 2.5, -_U * 2.5 + 0.1
    return (right**2 + up**2 - 1) ** 3 - right**2 * up**3 < 0


def _flower() -> np.ndarray:
    petals = [np.hypot(_U - x, _V - y) < 0.22 for x, y in ((0.28, 0), (-0.28, 0), (0, 0.28), (0, -0.28))]
    return np.logical_or.reduce([*petals, _RADIUS < 0.2])


def _rim(covered: np.ndarray, inside: np.ndarray) -> np.ndarray:
    return np.where(inside & covered, FLOOR_TONE, covered)


def _hollow(width: float) -> np.ndarray:
    return np.maximum(np.abs(_U), np.abs(_V)) > 0.5 - width


def _pallet() -> np.ndarray:
    return np.where(((_V + 0.5) * 7 % 2 > 1) & (np.abs(_U) < 0.46), FLOOR_TONE, 1.0)


def _pan() -> np.ndarray:
    disk = np.hypot(_U, _V * 1.5 + 0.25) < 0.5
    handle = (np.abs(_U) < 0.08) & (_V > 0.1)
    return np.maximum(_rim(disk, np.hypot(_U, _V * 1.5 + 0.25) < 0.42), handle)


_FULL = np.ones((TEXELS, TEXELS), dtype=bool)
_OPEN = _hollow(0.06) & (_U < 0.44)
_BLOCK = dict(profile="square", symmetry=math.pi / 2)
_LETTERS = {
    "letter A": [[(-0.38, -0.4), (0, 0.4), (0.38, -0.4)], [(-0.22, -0.1), (0.22, -0.1)]],
    "letter E": [[(0.32, 0.4), (-0.3, 0.4), (-0.3, -0.4), (0.32, -0.4)], [(-0.3, 0), (0.22, 0)]],
    "letter G": [[*_arc(0.38, 45, 300), (0.34, -0.25), (0.34, -0.02), (0.05, -0.02)]],
    "letter M": [[(-0.38, -0.4), (-0.38, 0.4), (0, -0.1), (0.38, 0.4), (0.38, -0.4)]],
    "letter R": [[(-0.28, -0.4), (-0.28, 0.4), (0.12, 0.4), (0.3, 0.2), (0.12, 0), (-0.28, 0)], [(0, 0), (0.32, -0.4)]],
    "letter T": [[(-0.38, 0.4), (0.38, 0.4)], [(0, 0.4), (0, -0.4)]],
    "letter V": [[(-0.38, 0.4), (0, -0.38), (0.38, 0.4)]],
}


def _shape(name: str, size: float | tuple[float, float], height: float, tone: np.ndarray, **rest: object) -> Shape:
    pair = (size, size) if isinstance(size, float) else size
    return Shape(name=name, size=pair, height=height, tone=tone.astype(np.float32), **rest)  # pyright: ignore


_ALL = [
    _shape("block", 0.07, 0.07, _FULL, **_BLOCK),
    _shape("shorter block", 0.07, 0.03, _FULL, **_BLOCK),
    _shape("small block", 0.03, 0.03, _FULL, **_BLOCK),
    *(_shape(name, 0.136 if name == "letter M" else 0.144, 0.036, _lines(lines)) for name, lines in _LETTERS.items()),
    _shape("cross", 0.128, 0.032, (np.abs(_U) < 0.16) | (np.abs(_V) < 0.16), symmetry=math.pi / 2),
    _shape("diamond", 0.128, 0.032, np.abs(_U) + np.abs(_V) * 1.6 < 0.5, symmetry=math.pi),
    _shape("triangle", 0.128, 0.032, _polygon(3), symmetry=2 * math.pi / 3),
    _shape("flower", 0.144, 0.036, _flower(), symmetry=math.pi / 2),
    _shape("heart", 0.144, 0.036, _heart()),
    _shape("hexagon", 0.136, 0.034, _polygon(6), symmetry=math.pi / 3),
    _shape("pentagon", 0.136, 0.034, _polygon(5), symmetry=2 * math.pi / 5),
    _shape("L-shaped block", 0.128, 0.032, (_U > 0.2) | (_V < -0.2)),
    _shape("ring", 0.128, 0.032, (_RADIUS < 0.5) & (_RADIUS > 0.28), symmetry=0.0, profile="circle"),
    _shape("round", 0.128, 0.032, _RADIUS < 0.5, symmetry=0.0, profile="circle"),
    _shape("star", 0.136, 0.034, _star(), symmetry=2 * math.pi / 5),
    _shape("bowl", 0.17, 0.05, _rim(_RADIUS < 0.5, _RADIUS < 0.41), symmetry=0.0, profile="circle", has_walls=True),
    _shape("pan", (0.16, 0.24), 0.03, _pan(), profile="circle", has_walls=True),
    _shape("container", 0.16, 0.05, _rim(_FULL, ~_hollow(0.08)), has_walls=True, **_BLOCK),
    _shape("pallet", (0.175, 0.21), 0.035, _pallet(), symmetry=math.pi, profile="square", has_walls=True),
    _shape("frame", 0.225, 0.002, _hollow(0.09), **_BLOCK),
    _shape("square", 0.2, 0.002, _hollow(0.05), **_BLOCK),
    _shape("three-sided rectangle for exceeding", (0.27, 0.27), 0.002, _OPEN, profile="square"),
    _shape("three-sided rectangle for touching", (0.172, 0.3), 0.002, _OPEN, profile="square"),
    _shape("line for exceeding", (0.04, 0.3375), 0.002, _FULL, symmetry=math.pi),
    _shape("line for touching", (0.04, 0.1875), 0.002, _FULL, symmetry=math.pi),
]
SHAPES: dict[str, Shape] = {shape.name: shape for shape in _ALL}
"""All shapes by name."""
CONTAINERS = ("bowl", "pan", "container", "pallet", "frame", "square")
"""Shapes of containers, which never move."""
