"""An object on the tabletop: shape, texture, pose, and what it rests on."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from astra.environments.tabletop.shapes import TEXELS, Shape

X_RANGE, Y_RANGE = (0.25, 0.75), (-0.5, 0.5)
"""Workspace in meters: x grows towards the viewer, y to the right."""


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
    """Meters; 0 takes the shape's own height."""
    fixed: bool = False
    """Whether it cannot be moved."""
    z: float = 0.0
    """Meters above the table."""
    support: int | None = None
    """Index of the object that it rests on or in; None is the table."""

    def __post_init__(self) -> None:
        """Use the shape's height if none is given."""
        self.height = self.height or self.shape.height

    def to_world(self, local: tuple[float, float]) -> tuple[float, float]:
        """Transform a point from the object's own frame to the table, in meters."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + cos * local[0] - sin * local[1], self.y + sin * local[0] + cos * local[1]

    def to_local(self, x: float, y: float) -> tuple[float, float]:
        """Transform a point from the table to the object's own frame."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return cos * (x - self.x) + sin * (y - self.y), -sin * (x - self.x) + cos * (y - self.y)

    def grasp_point(self) -> tuple[float, float]:
        """Return the point where suction holds best. It ignores the angle of round objects, which is invisible."""
        if self.shape.symmetry:
            return self.to_world(self.shape.grasp_point)
        return self.x, self.y + math.hypot(*self.shape.grasp_point)

    def hull_corners(self) -> Float[np.ndarray, "n 2"]:
        """Return the corners of the convex hull, in meters."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array(self.shape.hull) @ np.array([[cos, sin], [-sin, cos]]) + np.array([self.x, self.y])


def distance_to(obj: TableObject, x: float, y: float) -> float:
    """Return the distance in meters from a point to an object as seen from above; 0 on the object."""
    across, along = obj.to_local(x, y)
    size_x, size_y = obj.shape.size
    if abs(across) < size_x / 2 and abs(along) < size_y / 2:
        texel = int((across / size_x + 0.5) * TEXELS), int((along / size_y + 0.5) * TEXELS)
        if obj.shape.tone[texel] > 0:
            return 0.0
    return float(np.hypot(*(obj.shape.edge_points - np.array([across, along])).T).min())
