"""What every push out of a fixed set does to the T, tabulated once per process.

Away from the walls the outcome of a push is the same wherever the T lies, seen from the T. So each push (a place on the
outline, a direction) is simulated once, and a planner looks up where the T and the agent end after any depth. All plans
share the set, so that similar states get similar pushes.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from astra.environments.pusht.simulation import SUBSTEP, Simulation

RADIUS = 15.0
"""Radius of the agent in pixels."""
GAP = 8.0
"""Pixels between the agent and the T where a push starts."""
SPACING = 7.5
"""Largest distance in pixels between neighboring places on the outline."""
ANGLES = tuple(math.radians(degrees) for degrees in (-35, -20, -10, 0, 10, 20, 35))
"""Directions of the pushes, from the inward normal."""
REACH = 170
"""Pixels that the agent travels in the longest push."""
DEPTHS = np.array(
    [9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 25, 28, 32, 36, 41, 47, 54, 62, 72, 84, 98, 114, 132, 150, 169]
)
"""Pixels of travel after which a plan may end a push."""

_FACES = (  # first and last point, outward normal; near an inner corner the agent's radius keeps it off the face
    ((-58, 0), (58, 0), (0, -1)),
    ((60, 3), (60, 27), (1, 0)),
    ((57, 30), (39, 30), (0, 1)),
    ((15, 54), (15, 117), (1, 0)),
    ((12, 120), (-12, 120), (0, 1)),
    ((-15, 117), (-15, 54), (-1, 0)),
    ((-39, 30), (-57, 30), (0, 1)),
    ((-60, 27), (-60, 3), (-1, 0)),
)


@dataclass(frozen=True, kw_only=True)
class Pushes:
    """P pushes from C places; positions in the frame that the T has before the push, in pixels."""

    starts: Float[np.ndarray, "C 2"]
    """Where the agent stands before a push from each place."""
    start_index: Int[np.ndarray, " P"]
    """The place of each push."""
    directions: Float[np.ndarray, "P 2"]
    """Unit vector of the agent's motion."""
    poses: Float[np.ndarray, "P R 3"]
    """The T's pose after each pixel of the agent's travel."""


@cache
def tabulate_pushes() -> Pushes:
    """Simulate the whole set (about a third of a second)."""
    starts, normals = [], []
    for first, last, normal in _FACES:
        count = math.ceil(math.dist(first, last) / SPACING) + 1
        starts += [np.add(point, np.multiply(normal, RADIUS + GAP)) for point in np.linspace(first, last, count)]
        normals += [normal] * count
    simulation = Simulation(walls=False)
    place, directions, poses = [], [], []
    for index, (start, normal) in enumerate(zip(starts, normals, strict=True)):
        inward = math.atan2(-normal[1], -normal[0])
        for angle in ANGLES:
            direction = math.cos(inward + angle), math.sin(inward + angle)
            simulation.set_state(np.array([*start, 0.0, 0.0, 0.0]))
            place.append(index)
            directions.append(direction)
            poses.append(simulation.slide(direction[0] / SUBSTEP, direction[1] / SUBSTEP, REACH))
    return Pushes(
        starts=np.array(starts), start_index=np.array(place), directions=np.array(directions), poses=np.array(poses)
    )
