"""Goals of an episode, and the check of success: poses to reach in stages, or blocks to sweep into a zone.

Source: the checks and tolerances of VIMA-Bench (Jiang et al., 2022), in meters and radians. An object is at its goal
within 0.1 m (some tasks differ) and, where rotation counts, within 15 degrees up to symmetry. A reached goal stays
reached. An episode fails when a distractor is at a goal, or when an object to move is at a wrong container.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from astra.environments.tabletop.table_object import X_RANGE, Y_RANGE, TableObject

POSITION_TOLERANCE = 0.1
"""Meters. Source: VIMA-Bench's value for most tasks."""
ANGLE_TOLERANCE = math.radians(15)
"""Radians. Source: VIMA-Bench."""
Verdict = Literal["in progress", "success", "failure"]
"""State of an episode."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Goal pose of one object."""

    index: int
    """Index of the object."""
    x: float
    y: float
    angle: float | None = None
    """Radians; None if rotation does not count."""

    def met(self, obj: TableObject, tolerance: float) -> bool:
        """Whether an object is at the goal. It need not be the object that belongs there."""
        if not math.dist((obj.x, obj.y), (self.x, self.y)) < tolerance:
            return False
        return self.angle is None or angle_between(obj.angle, self.angle, obj.shape.symmetry) < ANGLE_TOLERANCE


def angle_between(one: float, two: float, symmetry: float) -> float:
    """Return the smallest angle between two orientations of a shape with this symmetry."""
    if symmetry == 0:
        return 0.0
    difference = abs(one - two) % symmetry
    return min(difference, symmetry - difference)


@dataclass(kw_only=True)
class PlacementGoals:
    """Goals in stages. A stage begins when the previous one is done."""

    stages: list[list[Goal]]
    """Goals of each stage."""
    tolerance: float = POSITION_TOLERANCE
    """Position tolerance in meters."""
    distractors: list[int] = field(default_factory=list)
    """Indices of objects that must not be at a goal, and of containers that must not hold an object to move."""
    order: Literal["free", "no skipping", "every step"] = "free"
    """Rule of order. "no skipping": reaching a goal of a later stage fails. "every step": a step that reaches no goal
    fails."""
    to_clear: list[Goal] = field(default_factory=list)
    """Goals of the expert for objects that are in the way; success does not depend on them."""
    check_distractors_at_end: bool = False
    """Whether distractors at a goal fail an episode only when all goals are reached."""
    returns_to_start: bool = False
    """Whether the last goal is its object's start, so that it is met before its turn."""
    reached: int = 0
    """Number of goals reached so far."""

    def __post_init__(self) -> None:
        """Start with the first stage."""
        self.total = sum(map(len, self.stages))
        self.remaining = [list(stage) for stage in self.stages]

    def check(self, objects: Sequence[TableObject]) -> Verdict:
        """Record the goals that this step has reached, and return the verdict."""
        before = self.reached
        while self.remaining:
            met = [goal for goal in self.remaining[0] if goal.met(objects[goal.index], self.tolerance)]
            self.remaining[0] = [goal for goal in self.remaining[0] if goal not in met]
            self.reached += len(met)
            if self.remaining[0]:
                break
            self.remaining.pop(0)
            if self.order == "every step":
                break
        if self._disturbed(objects) or self._skipped(objects):
            return "failure"
        if not self.remaining:
            return "success"
        return "failure" if self.order == "every step" and self.reached == before else "in progress"

    def progress(self) -> float:
        """Return the share of goals that were reached."""
        return self.reached / self.total

    def _disturbed(self, objects: Sequence[TableObject]) -> bool:
        """Whether an object left the workspace, reached a wrong container, or a distractor is at a goal."""
        for goal in (goal for stage in self.stages for goal in stage):
            obj = objects[goal.index]
            if not (X_RANGE[0] <= obj.x <= X_RANGE[1] and Y_RANGE[0] <= obj.y <= Y_RANGE[1]):
                return True
            for index in self.distractors:
                other = objects[index]
                if other.fixed:
                    if math.dist((obj.x, obj.y), (other.x, other.y)) < self.tolerance:
                        return True
                elif not (self.check_distractors_at_end and self.remaining) and goal.met(other, self.tolerance):
                    return True
        return False

    def _skipped(self, objects: Sequence[TableObject]) -> bool:
        if self.order != "no skipping":
            return False
        later = self.remaining[1:-1] if self.returns_to_start else self.remaining[1:]
        return any(goal.met(objects[goal.index], self.tolerance) for stage in later for goal in stage)


@dataclass(kw_only=True)
class SweepGoal:
    """Number of blocks to sweep into a zone, no more, without ever touching a forbidden area."""

    blocks: list[int]
    """Indices of the blocks to sweep."""
    others: list[int]
    """Indices of the blocks that must stay outside."""
    zone: tuple[float, float, float, float]
    """Minimum and maximum x, minimum and maximum y, in meters."""
    forbidden: tuple[float, float, float, float]
    """Area that the blocks must not touch, given like the zone."""
    number: int
    """Number of blocks to sweep."""
    touched: bool = False
    """Whether a block has touched the forbidden area."""
    inside: int = 0
    """Number of blocks in the zone now."""

    def watch(self, objects: Sequence[TableObject]) -> None:
        """Record whether a block touches the forbidden area; called during a sweep."""
        self.touched = self.touched or any(self._touches(objects[i], self.forbidden) for i in self.blocks)

    def check(self, objects: Sequence[TableObject]) -> Verdict:
        """Count the blocks in the zone, and return the verdict."""
        self.watch(objects)
        self.inside = sum(self.contains(objects[index]) for index in self.blocks)
        if self.touched or self.inside > self.number or any(self._touches(objects[i], self.zone) for i in self.others):
            return "failure"
        if any(not self._touches(objects[i], (*X_RANGE, *Y_RANGE)) for i in self.blocks):
            return "failure"
        return "success" if self.inside == self.number else "in progress"

    def contains(self, obj: TableObject) -> bool:
        """Whether a block is entirely inside the zone."""
        return bool(self._corners_inside(obj, self.zone).all())

    def progress(self) -> float:
        """Return the share of the required blocks that are in the zone."""
        return min(self.inside / self.number, 1.0)

    def _touches(self, obj: TableObject, area: tuple[float, float, float, float]) -> bool:
        reach = obj.shape.radius
        if not (area[0] - reach < obj.x < area[1] + reach and area[2] - reach < obj.y < area[3] + reach):
            return False
        return bool(self._corners_inside(obj, area).any())

    @staticmethod
    def _corners_inside(obj: TableObject, area: tuple[float, float, float, float]) -> np.ndarray:
        x, y = obj.hull_corners().T
        return (x > area[0]) & (x < area[1]) & (y > area[2]) & (y < area[3])
