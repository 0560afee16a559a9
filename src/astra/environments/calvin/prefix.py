"""Situations in which one task is due: a start, and tasks that the expert does before, as a chain would."""

from collections.abc import Mapping

import numpy as np

from astra.environments.calvin.expert import Routine
from astra.environments.calvin.hand import Variation
from astra.environments.calvin.oracle import Check
from astra.environments.calvin.sampling import LENGTH
from astra.environments.calvin.simulator import Simulator
from astra.environments.calvin.starts import varied_start
from astra.environments.calvin.tasks import TASKS, World, initial_worlds

LIMIT = 300
"""Timesteps in which the expert must do a task before."""
TRIES = 100
"""Situations that are drawn before it is given up; one of ten fails, as a rule."""
VARIATION = Variation(jitter=0.01, slowest=0.3)
"""Variation of the tasks before."""


def situation(
    simulator: Simulator, oracle: Mapping[str, Check], task: str, random: np.random.Generator
) -> tuple[str, ...]:
    """Bring the simulator into a situation in which a task is due, and return the tasks that were done for it.

    The situation is that of a random place in a random chain. If the expert fails before, another one is drawn.

    Raises:
        ValueError: if the expert fails in every one of `TRIES` situations.
    """
    for _ in range(TRIES):
        world, before = draw_chain(task, random)
        simulator.reset(varied_start(world, simulator.surfaces, simulator.door_left, random))
        if all(_do(simulator, oracle, name, int(random.integers(2**31))) for name in before):
            return before
    raise ValueError(f"the expert prepared none of {TRIES} situations for {task}: is the clone of calvin_env complete?")


def draw_chain(task: str, random: np.random.Generator) -> tuple[World, tuple[str, ...]]:
    """Return an initial world and up to four tasks of other categories after which a task is possible."""
    worlds, names = initial_worlds(), list(TASKS)
    while True:
        world = start = worlds[random.integers(len(worlds))]
        kinds, before = {TASKS[task].kind}, list[str]()
        wanted = int(random.integers(LENGTH))
        for _ in range(wanted):
            possible = [
                name
                for name in names
                if TASKS[name].kind not in kinds and len(TASKS[name].results(world)) == 1 and name != task
            ]
            if not possible:
                break
            name = str(random.choice(possible))
            before.append(name)
            kinds.add(TASKS[name].kind)
            (world,) = TASKS[name].results(world)
        if len(before) == wanted and len(TASKS[task].results(world)) == 1:
            return start, tuple(before)


def _do(simulator: Simulator, oracle: Mapping[str, Check], task: str, seed: int) -> bool:
    """Let the expert do a task, and return whether it is done."""
    routine, start = Routine(simulator, task, seed, VARIATION), simulator.snapshot()
    for _ in range(LIMIT):
        simulator.step(routine.next_action())
        if oracle[task](start, simulator.snapshot()):
            return True
    return False
