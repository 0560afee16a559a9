"""The effect of every push in a fixed set on the T, tabulated once per process.

Far from the walls, the outcome of a push does not depend on where the T lies, seen in the T's frame. Each push (a start
on the outline and a direction) is simulated once. A planner then looks up where T and agent end after any depth. All
plans share the set, so similar states get similar pushes.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from astra.environments.pusht.simulation import SUBSTEP, Simulation

RADIUS = 15.0
"""Radius of the agent, in pixels."""
GAP = 8.0
"""Gap between agent and T at the start of a push, in pixels."""
SPACING = 7.5
"""Maximum distance between neighboring starts on the outline, in pixels."""
ANGLES = tuple(math.radians(degrees) for degrees in (-35, -20, -10, 0, 10, 20, 35))
"""Directions of pushes relative to the inward normal, in radians."""
REACH = 170
"""Agent's travel in the longest push, in pixels."""
DEPTHS = np.array(
    [9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 25, 28, 32, 36, 41, 47, 54, 62, 72, 84, 98, 114, 132, 150, 169]
)
"""Depths at which a planned push may end, in pixels of travel."""

_FACES = (  # first and last point, outward normal; near inner corners the agent does not fit
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
    """P pushes, with positions in pixels in the frame of the T before the push."""

    starts: Float[np.ndarray, "starts 2"]
    """Position of the agent at each start."""
    start_index: Int[np.ndarray, " P"]
    """Index of the start of each push."""
    directions: Float[np.ndarray, "P 2"]
    """Unit vector of the agent's motion in each push."""
    poses: Float[np.ndarray, "P reach 3"]
    """Pose of the T after each pixel of the agent's travel."""


@cache
def tabulate_pushes() -> Pushes:
    """Simulate the whole set of pushes (about a third of a second)."""
    starts, normals = [], []
    for first, last, normal in _FACES:
        count = math.ceil(math.dist(first, last) / SPACING) + 1
        starts += [np.add(point, np.multiply(normal, RADIUS + GAP)) for point in np.linspace(first, last, count)]
        normals += [normal] * count
    simulation = Simulation(walls=False)
    start_index, directions, poses = [], [], []
    for index, (start, normal) in enumerate(zip(starts, normals, strict=True)):
        inward = math.atan2(-normal[1], -normal[0])
        for angle in ANGLES:
            direction = math.cos(inward + angle), math.sin(inward + angle)
            simulation.set_state(np.array([*start, 0.0, 0.0, 0.0]))
            start_index.append(index)
            directions.append(direction)
            poses.append(simulation.slide(direction[0] / SUBSTEP, direction[1] / SUBSTEP, range(1, REACH + 1)))
    return Pushes(
        starts=np.array(starts),
        start_index=np.array(start_index),
        directions=np.array(directions),
        poses=np.array(poses),
    )
