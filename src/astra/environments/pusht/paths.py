"""Shortest paths of the agent around the T, in the T's own frame."""

import numpy as np
from jaxtyping import Bool, Float

CLEARANCE = 18.0
"""Minimum distance from the agent's center to the T, in pixels: its radius plus 3."""
_CORNER_DISTANCE = 27.0
"""Distance in pixels at which paths go around the corners of the T."""


def _rectangles(margin: float) -> tuple[tuple[float, float, float, float], ...]:
    """Return bar and stem of the T, expanded by a margin: left, top, right, bottom."""
    return (
        (-60 - margin, -margin, 60 + margin, 30 + margin),
        (-15 - margin, 0.0, 15 + margin, 120 + margin),
    )


CORNERS = np.array(
    [
        (-60 - _CORNER_DISTANCE, -_CORNER_DISTANCE),
        (60 + _CORNER_DISTANCE, -_CORNER_DISTANCE),
        (60 + _CORNER_DISTANCE, 30 + _CORNER_DISTANCE),
        (15 + _CORNER_DISTANCE, 120 + _CORNER_DISTANCE),
        (-15 - _CORNER_DISTANCE, 120 + _CORNER_DISTANCE),
        (-60 - _CORNER_DISTANCE, 30 + _CORNER_DISTANCE),
    ]
)
"""Points where paths may bend, one outside each outer corner of the T."""


def inside(points: Float[np.ndarray, "*B 2"], margin: float = CLEARANCE) -> Bool[np.ndarray, "*B"]:
    """Whether points are closer to the T than the margin."""
    x, y = points[..., 0], points[..., 1]
    hits = [(x > left) & (x < right) & (y > top) & (y < bottom) for left, top, right, bottom in _rectangles(margin)]
    return np.asarray(hits[0] | hits[1])


def blocked(a: Float[np.ndarray, "*#B 2"], b: Float[np.ndarray, "*#B 2"]) -> Bool[np.ndarray, "*#B"]:
    """Whether the straight line between two points comes too close to the T. The points broadcast."""
    step = b - a
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    hit = np.zeros(np.broadcast_shapes(a.shape, b.shape)[:-1], dtype=bool)
    for left, top, right, bottom in _rectangles(CLEARANCE):
        first = (np.array([left, top]) - a) / step
        second = (np.array([right, bottom]) - a) / step
        enter = np.minimum(first, second).max(axis=-1)
        leave = np.maximum(first, second).min(axis=-1)
        hit |= np.maximum(enter, 0.0) < np.minimum(leave, 1.0) - 1e-9
    return hit


def step_out(point: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
    """Return the nearest point that is clear of the T; the point itself if it is clear."""
    if not inside(point):
        return point
    bar, stem = _rectangles(CLEARANCE + 0.5)
    x, y = point
    exits = np.array(
        [
            *((side, y) for left, _, right, _ in (bar, stem) for side in (left, right)),
            *((x, side) for _, top, _, bottom in (bar, stem) for side in (top, bottom)),
            *((side, bar[3]) for side in (stem[0], stem[2])),  # the inner corners
        ]
    )
    exits = exits[~inside(exits)]
    return exits[np.linalg.norm(exits - point, axis=1).argmin()]


class ShortestPaths:
    """Shortest paths from any point to fixed destinations.

    Args:
        destinations: points that are clear of the T.
    """

    def __init__(self, destinations: Float[np.ndarray, "destinations 2"]) -> None:
        self.destinations = destinations
        self._last = _distances(CORNERS[:, None], destinations[None])
        self._between = _distances(CORNERS[:, None], CORNERS[None])

    def lengths(
        self, origins: Float[np.ndarray, "B 2"], usable: Bool[np.ndarray, "6"]
    ) -> Float[np.ndarray, "B destinations"]:
        """Return the length of the shortest path from each origin to each destination; infinite if there is none.

        Args:
            origins: points that are clear of the T.
            usable: whether each corner lies on the board.
        """
        direct = _distances(origins[:, None], self.destinations[None])
        first = np.where(usable, _distances(origins[:, None], CORNERS[None]), np.inf)
        return np.minimum(direct, (first[:, :, None] + self._from_corners(usable)[None]).min(axis=1))

    def path(
        self, origin: Float[np.ndarray, "2"], destination: int, usable: Bool[np.ndarray, "6"]
    ) -> list[Float[np.ndarray, "2"]]:
        """Return the points of the shortest path, without the origin; empty if there is none."""
        goal = self.destinations[destination]
        onward = self._from_corners(usable)[:, destination]
        points, here = [], origin
        for _ in range(len(CORNERS) + 1):
            if not blocked(here, goal):
                return [*points, goal]
            through = np.where(usable, _distances(here[None], CORNERS), np.inf)
            through = np.where(through > 1e-6, through + onward, np.inf)
            if not np.isfinite(through.min()):
                return []
            here = CORNERS[np.argmin(through)]
            points.append(here)
        return []

    def _from_corners(self, usable: Bool[np.ndarray, "6"]) -> Float[np.ndarray, "6 destinations"]:
        between = np.where(usable[:, None] & usable[None], self._between, np.inf)
        for middle in range(len(CORNERS)):
            between = np.minimum(between, between[:, middle, None] + between[None, middle])
        last = np.where(usable[:, None], self._last, np.inf)
        return (between[:, :, None] + last[None]).min(axis=1)


def _distances(a: Float[np.ndarray, "*#B 2"], b: Float[np.ndarray, "*#B 2"]) -> Float[np.ndarray, "*#B"]:
    """Return straight distances between points; infinite if the T is in between."""
    return np.where(blocked(a, b), np.inf, np.linalg.norm(a - b, axis=-1))
