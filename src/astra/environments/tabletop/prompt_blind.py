"""The prompt-blind baseline: it knows everything but the prompt.

It knows which objects can be moved, where containers and zones are, and what kind of action the task needs. It does not
know which objects the prompt means. A policy that scores higher must have used its prompt.
"""

import math
import zlib

import numpy as np
from jaxtyping import Float

from astra.environments.tabletop.environment import ACTIONS, Tabletop
from astra.environments.tabletop.goals import SweepGoal
from astra.environments.tabletop.table_object import TableObject
from astra.environments.tabletop.tasks.moving import MOTION_POINTS, MOTION_RADIUS
from astra.environments.tabletop.tasks.turning import DEGREES

_MARGIN = 0.09


class PromptBlind:
    """Agent that does what the task asks for with objects chosen at random."""

    def __init__(self, seed: int) -> None:
        """Take the seed of its choices."""
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.seeded = False

    def act(self, environment: Tabletop) -> Float[np.ndarray, "6"]:
        """Return a random action of the kind that the task needs."""
        if not self.seeded:  # other random choices in each task, so that results are independent
            self.random = np.random.default_rng(
                [self.seed, zlib.crc32(f"{environment.level} {environment.task}".encode())]
            )
            self.seeded = True
        objects, task = environment.scene.objects, environment.task
        goals = environment.setup.goals
        if isinstance(goals, SweepGoal):
            outside = [i for i in [*goals.blocks, *goals.others] if not goals.contains(objects[i])]
            block = objects[self._choose(outside)]
            low, high, left, right = goals.zone
            return _action((block.x, block.y), (max(high - 0.04, low), float(self.random.uniform(left, right))), 0.0)
        movable = [index for index, obj in enumerate(objects) if not obj.fixed]
        containers = [obj for obj in objects if obj.fixed]
        obj = objects[self._choose(movable)]
        if task in ("rotate", "twist"):
            return _pick_and_place(obj, (obj.x, obj.y), -math.radians(float(self.random.choice(DEGREES))))
        if containers:
            place = containers[int(self.random.integers(len(containers)))]
            return _pick_and_place(obj, (place.x, place.y))
        if task == "follow_order":
            place = objects[self._choose([index for index in movable if objects[index] is not obj])]
            return _pick_and_place(obj, (place.x, place.y))
        if task == "follow_motion":
            angle = math.atan2(obj.y, obj.x - 0.5) + (1 if self.random.random() < 0.5 else -1) * 2 * math.pi / (
                MOTION_POINTS
            )
            return _pick_and_place(obj, (0.5 + MOTION_RADIUS * math.cos(angle), MOTION_RADIUS * math.sin(angle)))
        x, y = (self.random.uniform(ACTIONS.low[i] + _MARGIN, ACTIONS.high[i] - _MARGIN) for i in (0, 1))
        return _pick_and_place(obj, (float(x), float(y)))

    def _choose(self, options: list[int]) -> int:
        return options[int(self.random.integers(len(options)))] if options else 0


def _pick_and_place(obj: TableObject, place: tuple[float, float], turn: float = 0.0) -> Float[np.ndarray, "6"]:
    """Pick an object, and place its center at a position, turned."""
    start = obj.grasp_point()
    right, up = start[0] - obj.x, start[1] - obj.y
    cos, sin = math.cos(turn), math.sin(turn)
    return _action(start, (place[0] + cos * right - sin * up, place[1] + sin * right + cos * up), turn)


def _action(start: tuple[float, float], end: tuple[float, float], turn: float) -> Float[np.ndarray, "6"]:
    action = np.array([*start, 0.0, *end, turn], dtype=np.float32)
    return np.clip(action, np.array(ACTIONS.low, np.float32), np.array(ACTIONS.high, np.float32))
