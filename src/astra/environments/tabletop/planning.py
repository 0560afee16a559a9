"""Plan the expert's next action from the scene and the goals.

It picks where suction holds best, and turns an object only if its rotation counts. Sweeps are chosen by simulating
candidates in a copy of the scene.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from astra.environments.tabletop.goals import Goal, PlacementGoals, SweepGoal
from astra.environments.tabletop.scene import Scene
from astra.environments.tabletop.table_object import X_RANGE, Y_RANGE, TableObject

Action = Float32[np.ndarray, "6"]
"""x, y and angle of pose 0, then of pose 1."""
CLEARED = 0.03
"""Tolerance in meters within which an obstacle counts as cleared away."""
_EDGE = 0.005
_HALF_BLOCK = 0.014


def next_action(scene: Scene, goals: PlacementGoals | SweepGoal) -> Action | None:
    """Return the expert's next action; None if it has none."""
    if isinstance(goals, SweepGoal):
        return _next_sweep(scene, goals)
    current = _to_clear(scene, goals) or (goals.remaining[0] if goals.remaining else [])
    return _place(scene, current[0]) if current else None


def placements_left(scene: Scene, goals: PlacementGoals) -> int:
    """Return the number of objects that the expert has yet to place."""
    return len(_to_clear(scene, goals)) + goals.total - goals.reached


def _to_clear(scene: Scene, goals: PlacementGoals) -> list[Goal]:
    """Return the goals of objects that are still in the way."""
    return [goal for goal in goals.to_clear if not goals.reached and not goal.met(scene.objects[goal.index], CLEARED)]


def _place(scene: Scene, goal: Goal) -> Action:
    """Pick an object where suction holds best, and place it at its goal."""
    obj = scene.objects[goal.index]
    turn = 0.0 if goal.angle is None else _shortest(goal.angle - obj.angle, obj.shape.symmetry)
    start = obj.grasp_point()
    cos, sin = math.cos(turn), math.sin(turn)
    right, up = start[0] - obj.x, start[1] - obj.y
    end = goal.x + cos * right - sin * up, goal.y + sin * right + cos * up
    return _action(start, end, turn)


def _shortest(turn: float, symmetry: float) -> float:
    if symmetry == 0:
        return 0.0
    return (turn + symmetry / 2) % symmetry - symmetry / 2


def _action(start: tuple[float, float], end: tuple[float, float], turn: float = 0.0) -> Action:
    if turn >= math.pi:
        turn -= 2 * math.pi
    points = [_clip(*start), _clip(*end)]
    return np.array([*points[0], 0.0, *points[1], turn], dtype=np.float32)


def _clip(x: float, y: float) -> tuple[float, float]:
    return (
        min(max(x, X_RANGE[0] + _EDGE), X_RANGE[1] - _EDGE),
        min(max(y, Y_RANGE[0] + _EDGE), Y_RANGE[1] - _EDGE),
    )


def sweeps_needed(scene: Scene, goals: SweepGoal) -> int | None:
    """Return the expert's number of sweeps; None if it does not succeed."""
    trial, copy = scene.copy(), replace(goals)
    for step in range(1, 3 * goals.number + 1):
        action = _next_sweep(trial, copy)
        if action is None:
            return None
        trial.sweep((float(action[0]), float(action[1])), (float(action[3]), float(action[4])), copy.watch)
        verdict = copy.check(trial.objects)
        if verdict != "in progress":
            return step if verdict == "success" else None
    return None


def _next_sweep(scene: Scene, goals: SweepGoal) -> Action | None:
    """Return a sweep that brings one more block into the zone, or one that makes such a sweep possible."""
    outside = [i for i in goals.blocks if not goals.contains(scene.objects[i])]
    outside.sort(key=lambda i: scene.objects[i].x)
    before = len(goals.blocks) - len(outside)
    for index in outside:
        for end in _zone_targets(goals, scene.objects[index]):
            action = _sweep_to(scene.objects[index], end)
            if _simulate(scene, goals, action, before + 1) is not None:
                return action
    for index in outside:
        for end in _detours(goals, scene.objects[index]):
            action = _sweep_to(scene.objects[index], end)
            after = _simulate(scene, goals, action, before)
            if after is None:
                continue
            for target in _zone_targets(goals, after.objects[index]):
                if _simulate(after, goals, _sweep_to(after.objects[index], target), before + 1) is not None:
                    return action
    return None


def _sweep_to(block: TableObject, end: tuple[float, float]) -> Action:
    """Sweep a block to a place. Both are rounded to a grid of centimeters, so that a policy's bins change nothing."""
    return _action((_rounded(block.x), _rounded(block.y)), (_rounded(end[0]), _rounded(end[1])))


def _rounded(place: float) -> float:
    """Return the center of a coordinate's centimeter; the workspace is a whole number of centimeters."""
    return math.floor(place * 100) / 100 + 0.005


def _zone_targets(goals: SweepGoal, block: TableObject) -> Iterator[tuple[float, float]]:
    """Yield targets in the zone: straight ahead first, near the edge first."""
    low, high, left, right = goals.zone
    straight = min(max(block.y, left + 0.04), right - 0.04)
    for depth in (0.035, 0.05, 0.07):
        if high - depth < low + 0.02:
            continue
        for y in sorted(
            [*np.linspace(left + 0.04, right - 0.04, 6).tolist(), straight], key=lambda y: abs(y - straight)
        ):
            yield high - depth, y


def _detours(goals: SweepGoal, block: TableObject) -> Iterator[tuple[float, float]]:
    """Yield places beside the line: on the near side first, then farther back."""
    side = goals.forbidden[3] + 0.045
    for y in sorted((side, -side), key=lambda y: abs(y - block.y)):
        for x in (block.x, goals.forbidden[1] + 0.06, goals.forbidden[1] + 0.1):
            yield x, y


def _simulate(scene: Scene, goals: SweepGoal, action: Action, wanted: int) -> Scene | None:
    """Return the scene after a sweep; None if it fails or leaves another number of blocks in the zone than wanted."""
    if _crosses(action, goals.forbidden):
        return None
    trial, copy = scene.copy(), replace(goals)
    trial.sweep((float(action[0]), float(action[1])), (float(action[3]), float(action[4])), copy.watch)
    verdict = copy.check(trial.objects)
    return trial if verdict != "failure" and copy.inside == wanted else None


def _crosses(action: Action, area: tuple[float, float, float, float]) -> bool:
    """Whether the center of a swept block passes through an area or near it. This saves most of the simulations."""
    share = np.linspace(0.0, 1.0, 16)
    x, y = (action[i] + share * (action[i + 3] - action[i]) for i in (0, 1))
    near = (
        (x > area[0] - _HALF_BLOCK)
        & (x < area[1] + _HALF_BLOCK)
        & (y > area[2] - _HALF_BLOCK)
        & (y < area[3] + _HALF_BLOCK)
    )
    return bool(near.any())


def steps_needed(scene: Scene, goals: PlacementGoals | SweepGoal) -> int | None:
    """Return the expert's number of steps from here; None if it does not succeed."""
    if isinstance(goals, SweepGoal):
        return sweeps_needed(scene, goals)
    return len(goals.to_clear) + goals.total
