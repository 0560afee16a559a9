"""The seven tasks of the kitchen: their words, their goals, and when they count as done.

Source: Gupta et al. 2019, "Relay Policy Learning"; goals and threshold of gymnasium-robotics 1.4.2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

DONE_WITHIN = 0.3
"""Distance of a task's joints to their goal below which the task is done."""
TASKS_PER_EPISODE = 4
"""Number of tasks that an episode asks for. Source: appendix A.10."""


@dataclass(frozen=True, kw_only=True)
class KitchenTask:
    """One task of the kitchen."""

    name: str
    """Name, as in gymnasium-robotics."""
    words: str
    """The task as a part of an instruction."""
    joints: tuple[int, ...]
    """Places in the 30 positions of the kitchen (9 of the robot, then 21 of the objects) that the goal is about."""
    goal: tuple[float, ...]
    """Position of each of these joints at the goal, in radians or meters."""

    def distance(self, positions: Float[np.ndarray, "30"]) -> float:
        """Return the distance of the joints to the goal."""
        return float(np.linalg.norm(positions[list(self.joints)] - np.array(self.goal)))

    def is_done(self, positions: Float[np.ndarray, "30"]) -> bool:
        """Whether the task counts as done in this state."""
        return self.distance(positions) < DONE_WITHIN


TASKS = {
    task.name: task
    for task in (
        KitchenTask(name="microwave", words="open the microwave", joints=(22,), goal=(-0.75,)),
        KitchenTask(
            name="kettle",
            words="move the kettle",
            joints=tuple(range(23, 30)),
            goal=(-0.23, 0.75, 1.62, 0.99, 0.0, 0.0, -0.06),
        ),
        KitchenTask(name="bottom burner", words="turn the bottom knob", joints=(11, 12), goal=(-0.88, -0.01)),
        KitchenTask(name="top burner", words="turn the top knob", joints=(15, 16), goal=(-0.92, -0.01)),
        KitchenTask(name="light switch", words="switch on the light", joints=(17, 18), goal=(-0.69, -0.05)),
        KitchenTask(name="slide cabinet", words="open the slide cabinet", joints=(19,), goal=(0.37,)),
        KitchenTask(name="hinge cabinet", words="open the hinge cabinet", joints=(20, 21), goal=(0.0, 1.45)),
    )
}
"""The tasks by name, in the order of instructions."""


def choose_tasks(names: Iterable[str]) -> tuple[KitchenTask, ...]:
    """Return the named tasks in the order of instructions.

    Raises:
        ValueError: for an unknown task, or unless there are four different ones.
    """
    names = tuple(names)
    for name in names:
        if name not in TASKS:
            raise ValueError(f"the kitchen has no task {name!r}; it has {', '.join(TASKS)}")
    if len(set(names)) != TASKS_PER_EPISODE or len(names) != TASKS_PER_EPISODE:
        raise ValueError(
            f"an episode of the kitchen asks for {TASKS_PER_EPISODE} different tasks, got {len(names)}: "
            f"{', '.join(names) or 'none'}"
        )
    return tuple(task for task in TASKS.values() if task.name in names)


def instruction_for(tasks: Iterable[KitchenTask]) -> str:
    """Return the sentence that asks for these tasks."""
    return ", ".join(task.words for task in tasks)


def fixed_tasks(instructions: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the four tasks that the only instruction asks for; empty: several, or other words."""
    sentences = {instruction_for(tasks): tasks for tasks in combinations(TASKS.values(), TASKS_PER_EPISODE)}
    (only,) = instructions if len(instructions) == 1 else ("",)
    return tuple(task.name for task in sentences.get(only, ()))
