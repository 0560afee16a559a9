"""The layout of an episode: which objects lie where, and how the arm stands. Needs no simulator."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from astra.environments.maniskill.levels import Combination
from astra.environments.maniskill.objects import CONTAINERS, Target

JOINTS = 7
AREA = ((-0.22, 0.07), (-0.26, 0.26))
"""Range in meters of the target's and the container's place along x and y; the robot's base is at x = -0.615."""
WIDER = 0.06
"""Distance in meters by which distractors may lie outside that area."""
FREE = {"container": 0.035, "target": 0.035, "distractor": 0.01}
"""Distance in meters between an object and others, by what it is."""
ROBOT_SPREAD = 0.12
"""Largest distance in radians of a joint from its rest at the start."""
TRIES, RESTARTS = 60, 200
"""Tries to find a free place for an object, and for the whole layout."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Place on the table."""

    x: float
    """Distance in meters in front of the area's middle, away from the robot."""
    y: float
    """Distance in meters to the robot's left."""
    yaw: float
    """Angle in radians about the vertical axis."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Everything that the seed of an episode decides."""

    combination: Combination
    """Target and container."""
    container: Place
    """Place of the container."""
    objects: tuple[tuple[Target, Place], ...]
    """The target, then the distractors."""
    joints: Float[np.ndarray, "7"]
    """Distance in radians of the arm's joints from their rest."""


def sample_layout(combination: Combination, distractors: Sequence[Target], random: np.random.Generator) -> Layout:
    """Sample a layout without overlaps.

    Args:
        combination: Target and container.
        distractors: The other objects.
        random: Source of random numbers.

    Raises:
        RuntimeError: if the objects find no place, which did not happen in tests.
    """
    joints = random.uniform(-ROBOT_SPREAD, ROBOT_SPREAD, JOINTS)
    kinds = ["container", "target", *["distractor"] * len(distractors)]
    radii = [
        CONTAINERS[combination.container].radius,
        combination.target.radius,
        *(other.radius for other in distractors),
    ]
    for _ in range(RESTARTS):
        if places := _places(kinds, radii, random):
            container, *free = places
            objects = tuple(zip((combination.target, *distractors), free, strict=True))
            return Layout(combination=combination, container=container, objects=objects, joints=joints)
    raise RuntimeError(f"found no places for {len(distractors)} distractors beside {combination.name}")


def _places(kinds: Sequence[str], radii: Sequence[float], random: np.random.Generator) -> list[Place]:
    """Return a free place for each circle, or an empty list if one found none."""
    found: list[Place] = []
    for number, (kind, radius) in enumerate(zip(kinds, radii, strict=True)):
        wider = WIDER if kind == "distractor" else 0.0
        for _ in range(TRIES):
            x, y = (random.uniform(low - wider, high + wider) for low, high in AREA)
            if all(
                math.hypot(x - other.x, y - other.y) > radius + radii[place] + max(FREE[kind], FREE[kinds[place]])
                for place, other in enumerate(found)
            ):
                found.append(Place(x=x, y=y, yaw=float(random.uniform(-math.pi, math.pi))))
                break
        if len(found) <= number:
            return []
    return found
