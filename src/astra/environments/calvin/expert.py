"""The expert of CALVIN: a routine for each of the 34 tasks, on the exact state of the simulator, for all scenes.

It corrects whatever moves the arm, and begins a task anew until it is done.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.calvin import fixtures, handling
from astra.environments.calvin.hand import Hand, Steps, Variation
from astra.environments.calvin.scene import BLOCKS
from astra.environments.calvin.simulator import Simulator

PUSH, TURN = 0.085, np.radians(76)
"""How far the hand pushes and turns blocks, in meters and radians: 10 cm and 60 degrees are asked for."""


def routine_of(task: str) -> Callable[[Hand], Steps]:
    """Return the routine of a task."""
    if match := re.fullmatch(rf"(rotate|push|lift)_({'|'.join(BLOCKS)})_block_(\w+)", task):
        verb, color, where = match.groups()
        if verb == "lift":
            return partial(handling.lift, color=color)
        sign = 1.0 if where == "right" else -1.0
        if verb == "push":
            return partial(handling.push, color=color, by=sign * PUSH)
        return partial(handling.rotate, color=color, by=-sign * TURN)
    return {
        "move_slider_left": fixtures.move_slider_left,
        "move_slider_right": fixtures.move_slider_right,
        "open_drawer": fixtures.open_drawer,
        "close_drawer": fixtures.close_drawer,
        "place_in_slider": handling.place_in_slider,
        "place_in_drawer": handling.place_in_drawer,
        "stack_block": handling.stack,
        "unstack_block": handling.unstack,
        "turn_on_lightbulb": fixtures.turn_on_lightbulb,
        "turn_off_lightbulb": fixtures.turn_off_lightbulb,
        "turn_on_led": fixtures.press_button,
        "turn_off_led": fixtures.press_button,
        "push_into_drawer": handling.push_into_drawer,
    }[task]


class Routine:
    """The expert's actions for one instruction.

    Args:
        simulator: Simulator whose state is read.
        task: Name of the task.
        seed: Seed of the variation.
        variation: How much it varies.
    """

    def __init__(self, simulator: Simulator, task: str, seed: int = 0, variation: Variation | None = None) -> None:
        random = np.random.default_rng([seed, 2])
        self._hand = Hand(simulator, variation or Variation(), random)
        self._routine = routine_of(task)
        self._actions = self._again()

    def next_action(self) -> Float[np.ndarray, "7"]:
        """Return the next action for the current state."""
        return next(self._actions).astype(np.float32)

    def _again(self) -> Iterator[Float[np.ndarray, "7"]]:
        while True:
            yield from self._routine(self._hand)
            self._hand.attempt += 1


class CalvinExpert:
    """Expert of one instruction; the next one gets another expert.

    Args:
        seed: Seed of the variation.
        variation: How much it varies.
    """

    def __init__(self, seed: int = 0, variation: Variation | None = None) -> None:
        self._seed, self._variation = seed, variation
        self._routine: Routine | None = None

    def act(self, environment: Any) -> Float[np.ndarray, "7"]:
        """Return the next action for the current state of the environment."""
        if self._routine is None:
            self._routine = Routine(environment.simulator, environment.present, self._seed, self._variation)
        return self._routine.next_action()
