"""What an episode asks for, and whether it was done: poses to reach in stages, or blocks to sweep into a zone.

Source: the checks and tolerances of VIMA-Bench (Jiang et al., 2022), in meters and radians: an object is where it
should be within 0.1 m (tasks may say otherwise) and, where rotation counts, within 15 degrees, symmetries allowed for;
a goal that was reached stays reached; a distractor at a goal, or an object of a goal at a container that is none, is a
failure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from astra.environments.tabletop.scene import X_RANGE, Y_RANGE, TableObject

POSITION_TOLERANCE = 0.1
"""Meters. Source: VIMA-Bench's value for most tasks."""
ANGLE_TOLERANCE = math.radians(15)
"""Radians. Source: VIMA-Bench."""
Verdict = Literal["in progress", "success", "failure"]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One obj at one place."""

    index: int
    """Index of the obj."""
    x: float
    y: float
    angle: float | None = None
    """Radians, where rotation counts."""

    def met(self, obj: TableObject, tolerance: float) -> bool:
        """Tell whether a obj is there; any obj can be asked about."""
        if not math.dist((obj.x, obj.y), (self.x, self.y)) < tolerance:
            return False
        return self.angle is None or angle_between(obj.angle, self.angle, obj.shape.symmetry) < ANGLE_TOLERANCE


def angle_between(one: float, two: float, symmetry: float) -> float:
    """Return the smallest angle that turns one orientation into the other, for a shape with this symmetry."""
    if symmetry == 0:
        return 0.0
    difference = abs(one - two) % symmetry
    return min(difference, symmetry - difference)


@dataclass(kw_only=True)
class PlacementGoals:
    """Goals in stages: a stage begins once the one before is done."""

    stages: list[list[Goal]]
    tolerance: float = POSITION_TOLERANCE
    """Meters."""
    distractors: list[int] = field(default_factory=list)
    """Things that must be at no goal, and at which no obj of a goal may be."""
    order: Literal["free", "no skipping", "every step"] = "free"
    """What fails: nothing; reaching a goal of a later stage too early; a step that reaches no goal."""
    to_clear: list[Goal] = field(default_factory=list)
    """What must be cleared away before; nobody checks it, the oracle does it."""
    check_distractors_at_end: bool = False
    """Whether distractors may be at a goal until the end."""
    returns_to_start: bool = False
    """Whether the last goal is where its obj begins, so that it is met before its turn."""
    reached: int = 0
    """Goals reached so far."""

    def __post_init__(self) -> None:
        """Begin with the first stage."""
        self.total = sum(map(len, self.stages))
        self.remaining = [list(stage) for stage in self.stages]

    def check(self, objects: Sequence[TableObject]) -> Verdict:
        """Take note of what was reached in this step and judge."""
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
        """Return the share of the goals that was reached."""
        return self.reached / self.total

    def _disturbed(self, objects: Sequence[TableObject]) -> bool:
        """Tell whether a obj left the workspace, or a distractor and a goal were taken for each other."""
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
    """A number of blocks into a zone, not one more, and none of them ever in a forbidden place."""

    blocks: list[int]
    """The blocks that are meant."""
    others: list[int]
    """Blocks that must stay out."""
    zone: tuple[float, float, float, float]
    """Least and largest x, least and largest y, in meters."""
    forbidden: tuple[float, float, float, float]
    """The same of the place that the blocks must not touch."""
    number: int
    """How many."""
    touched: bool = False
    """Whether a block was in the forbidden place."""
    inside: int = 0
    """Blocks in the zone now."""

    def watch(self, objects: Sequence[TableObject]) -> None:
        """Look for a block in the forbidden place; called during a sweep."""
        self.touched = self.touched or any(self._touches(objects[i], self.forbidden) for i in self.blocks)

    def check(self, objects: Sequence[TableObject]) -> Verdict:
        """Count and judge."""
        self.watch(objects)
        self.inside = sum(self.contains(objects[index]) for index in self.blocks)
        if self.touched or self.inside > self.number or any(self._touches(objects[i], self.zone) for i in self.others):
            return "failure"
        if any(not self._touches(objects[i], (*X_RANGE, *Y_RANGE)) for i in self.blocks):
            return "failure"
        return "success" if self.inside == self.number else "in progress"

    def contains(self, obj: TableObject) -> bool:
        """Tell whether a block is wholly in the zone."""
        return bool(self._corners_inside(obj, self.zone).all())

    def progress(self) -> float:
        """Return the share of the number that is in the zone."""
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
