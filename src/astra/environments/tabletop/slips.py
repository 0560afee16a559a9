"""Slips: suction picks beside the object, or lets go of it beside its goal, and the agent has to try again.

A slip belongs to the world, not to the agent: the agent's action stays as it is, and its effect differs. Demonstrations
of an expert whose world slips hence show near misses and how to recover from them, while every action that they teach
is right.

Source: Laskey et al., "DART: Noise Injection for Robust Imitation Learning", 2017 (noise in the execution, the
intended action as the label).
"""

import math
from copy import deepcopy

import numpy as np

from astra.environments.tabletop.goals import PlacementGoals
from astra.environments.tabletop.planning import placements_left
from astra.environments.tabletop.scene import CUP_RADIUS, Scene
from astra.environments.tabletop.table_object import X_RANGE, Y_RANGE

Point = tuple[float, float]
"""x and y in meters."""
BESIDE_OBJECT = (1.5 * CUP_RADIUS, 4 * CUP_RADIUS)
"""Range of distances in meters between the point that is asked for and the one where suction picks."""
BESIDE_GOAL = (1.0, 2.0)
"""Range of distances between the point that is asked for and the one where the object lands, in tolerances."""
TRIES = 30
"""Places that are tried; where none is a miss from which the agent can recover, nothing slips."""


def slip(
    scene: Scene, goals: PlacementGoals, start: Point, end: Point, turn: float, random: np.random.Generator
) -> tuple[Point, Point]:
    """Return where suction really picks and places; the points that were asked for if nothing can slip."""
    for _ in range(TRIES):
        if random.random() < 0.5:
            tried = _beside(start, random.uniform(*BESIDE_OBJECT), random), end
            if scene.grasped_at(*tried[0]) is not None:
                continue
        else:
            tried = start, _beside(end, goals.tolerance * random.uniform(*BESIDE_GOAL), random)
        if _inside(tried) and is_miss(scene, goals, *tried, turn):
            return tried
    return start, end


def is_miss(scene: Scene, goals: PlacementGoals, start: Point, end: Point, turn: float) -> bool:
    """Whether an action brings the agent no closer to the goals, and the episode goes on."""
    trial, copy = scene.copy(), deepcopy(goals)
    left = placements_left(trial, copy)
    trial.pick_and_place(start, end, turn)
    return copy.check(trial.objects) == "in progress" and placements_left(trial, copy) >= left


def _beside(point: Point, distance: float, random: np.random.Generator) -> Point:
    angle = random.uniform(-math.pi, math.pi)
    return point[0] + distance * math.cos(angle), point[1] + distance * math.sin(angle)


def _inside(points: tuple[Point, ...]) -> bool:
    return all(X_RANGE[0] <= x <= X_RANGE[1] and Y_RANGE[0] <= y <= Y_RANGE[1] for x, y in points)
