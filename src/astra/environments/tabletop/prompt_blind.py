"""What a policy on the tabletop is compared with: the oracle, the oracle through bins, and a guess that sees no prompt.

The guess knows everything but the prompt: which things can be moved, where containers and zones are, and what the words
of a task ask for; it does not know which things are meant. What a policy scores above it, it has from the prompt.
"""

import math
import zlib

import numpy as np
from jaxtyping import Float

from astra.environments.tabletop.environment import ACTIONS, Tabletop
from astra.environments.tabletop.goals import Sweeping
from astra.environments.tabletop.scene import Thing
from astra.environments.tabletop.tasks.moving import MOTION_POINTS, MOTION_RADIUS
from astra.environments.tabletop.tasks.turning import DEGREES

_MARGIN = 0.09


class PromptBlind:
    """Does what the task asks for with things chosen at random."""

    def __init__(self, seed: int) -> None:
        """Take a seed."""
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.begun = False

    def act(self, environment: Tabletop) -> Float[np.ndarray, "6"]:
        """Return a random action of the task's kind."""
        if not self.begun:  # other choices in other tasks, so that their results are independent
            self.random = np.random.default_rng(
                [self.seed, zlib.crc32(f"{environment.level} {environment.task}".encode())]
            )
            self.begun = True
        things, task = environment.scene.things, environment.task
        goals = environment.problem.goals
        if isinstance(goals, Sweeping):
            outside = [i for i in [*goals.blocks, *goals.others] if not goals.holds(things[i])]
            block = things[self._one(outside)]
            low, high, left, right = goals.zone
            return _action((block.x, block.y), (max(high - 0.04, low), float(self.random.uniform(left, right))), 0.0)
        movable = [index for index, thing in enumerate(things) if not thing.fixed]
        containers = [thing for thing in things if thing.fixed]
        thing = things[self._one(movable)]
        if task in ("rotate", "twist"):
            return _put(thing, (thing.x, thing.y), -math.radians(float(self.random.choice(DEGREES))))
        if containers:
            place = containers[int(self.random.integers(len(containers)))]
            return _put(thing, (place.x, place.y))
        if task == "follow_order":
            place = things[self._one([index for index in movable if things[index] is not thing])]
            return _put(thing, (place.x, place.y))
        if task == "follow_motion":
            angle = math.atan2(thing.y, thing.x - 0.5) + (1 if self.random.random() < 0.5 else -1) * 2 * math.pi / (
                MOTION_POINTS
            )
            return _put(thing, (0.5 + MOTION_RADIUS * math.cos(angle), MOTION_RADIUS * math.sin(angle)))
        x, y = (self.random.uniform(ACTIONS.low[i] + _MARGIN, ACTIONS.high[i] - _MARGIN) for i in (0, 1))
        return _put(thing, (float(x), float(y)))

    def _one(self, options: list[int]) -> int:
        return options[int(self.random.integers(len(options)))] if options else 0


def _put(thing: Thing, place: tuple[float, float], turn: float = 0.0) -> Float[np.ndarray, "6"]:
    """Pick a thing and put its center at a place, turned."""
    start = thing.grasp()
    right, up = start[0] - thing.x, start[1] - thing.y
    cos, sin = math.cos(turn), math.sin(turn)
    return _action(start, (place[0] + cos * right - sin * up, place[1] + sin * right + cos * up), turn)


def _action(start: tuple[float, float], end: tuple[float, float], turn: float) -> Float[np.ndarray, "6"]:
    action = np.array([*start, 0.0, *end, turn], dtype=np.float32)
    return np.clip(action, np.array(ACTIONS.low, np.float32), np.array(ACTIONS.high, np.float32))
