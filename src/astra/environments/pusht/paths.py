"""Shortest ways for the agent around the T, in the T's own frame, as strings pulled tight round its corners."""

import numpy as np
from jaxtyping import Bool, Float

CLEARANCE = 18.0
"""The agent's center keeps this distance in pixels from the T, three more than its radius."""
_CORNER_DISTANCE = 27.0
"""Distance in pixels at which ways go round the corners of the T."""


def _rectangles(margin: float) -> tuple[tuple[float, float, float, float], ...]:
    """Bar and stem of the T, grown by a margin: left, top, right, bottom."""
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
"""Where ways may bend: one point outside each outer corner of the T."""


def inside(points: Float[np.ndarray, "*B 2"], margin: float = CLEARANCE) -> Bool[np.ndarray, "*B"]:
    """Return whether points are nearer to the T than the margin."""
    x, y = points[..., 0], points[..., 1]
    hits = [(x > left) & (x < right) & (y > top) & (y < bottom) for left, top, right, bottom in _rectangles(margin)]
    return np.asarray(hits[0] | hits[1])


def blocked(a: Float[np.ndarray, "*#B 2"], b: Float[np.ndarray, "*#B 2"]) -> Bool[np.ndarray, "*#B"]:
    """Return whether the straight way between two points, which broadcast, comes too near to the T."""
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
    """Return the nearest point that keeps clear of the T; the point itself if it does."""
    if not inside(point):
        return point
    bar, stem = _rectangles(CLEARANCE + 0.5)
    x, y = point
    ways = np.array(
        [
            *((side, y) for left, _, right, _ in (bar, stem) for side in (left, right)),
            *((x, side) for _, top, _, bottom in (bar, stem) for side in (top, bottom)),
            *((side, bar[3]) for side in (stem[0], stem[2])),  # the inner corners
        ]
    )
    ways = ways[~inside(ways)]
    return ways[np.linalg.norm(ways - point, axis=1).argmin()]


class ShortestPaths:
    """Shortest ways from anywhere to fixed destinations.

    Args:
        destinations: points that keep clear of the T.
    """

    def __init__(self, destinations: Float[np.ndarray, "C 2"]) -> None:
        self.destinations = destinations
        self._last = _distances(CORNERS[:, None], destinations[None])
        self._between = _distances(CORNERS[:, None], CORNERS[None])

    def lengths(self, origins: Float[np.ndarray, "B 2"], usable: Bool[np.ndarray, "6"]) -> Float[np.ndarray, "B C"]:
        """Return the length of the shortest way from each origin to each destination; infinite if there is none.

        Args:
            origins: points that keep clear of the T.
            usable: which corners lie on the board.
        """
        direct = _distances(origins[:, None], self.destinations[None])
        first = np.where(usable, _distances(origins[:, None], CORNERS[None]), np.inf)
        return np.minimum(direct, (first[:, :, None] + self._from_corners(usable)[None]).min(axis=1))

    def path(
        self, origin: Float[np.ndarray, "2"], destination: int, usable: Bool[np.ndarray, "6"]
    ) -> list[Float[np.ndarray, "2"]]:
        """Return the points of the shortest way, destination last, origin left out; empty if there is none."""
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

    def _from_corners(self, usable: Bool[np.ndarray, "6"]) -> Float[np.ndarray, "6 C"]:
        between = np.where(usable[:, None] & usable[None], self._between, np.inf)
        for middle in range(len(CORNERS)):
            between = np.minimum(between, between[:, middle, None] + between[None, middle])
        last = np.where(usable[:, None], self._last, np.inf)
        return (between[:, :, None] + last[None]).min(axis=1)


def _distances(a: Float[np.ndarray, "*#B 2"], b: Float[np.ndarray, "*#B 2"]) -> Float[np.ndarray, "*#B"]:
    """Length of the straight way between points, infinite where the T is in between."""
    return np.where(blocked(a, b), np.inf, np.linalg.norm(a - b, axis=-1))
