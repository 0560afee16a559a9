"""Meta-World as a suite: 50 tasks with one instruction each, MT10 and MT50."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from astra.environments.metaworld import expert
from astra.environments.metaworld.environment import (
    ACTIONS,
    CAMERAS,
    GOAL,
    HAND,
    SIZES,
    Kind,
    MetaWorld,
    MetaWorldOptions,
)
from astra.environments.metaworld.tasks import MT10, MT50, SETS, TASKS, find_tasks, other_instruction
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.storage.numbers import BinsOrNone, NotNegative
from astra.trajectory import TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class MetaWorldDemonstrationOptions(MetaWorldOptions):
    """Options of Meta-World's demonstrations."""

    noise: NotNegative = 0.4
    """Largest strength of the noise on executed actions, as a share of the largest action; each demonstration draws its
    own from 0 to this. The recorded action is the expert's, without the noise."""
    bins: BinsOrNone = 0
    """Number of bins per dimension to whose centers the expert's actions are rounded, as a discrete policy's are; 0:
    they are not rounded."""


def tasks(options: MetaWorldOptions, level: str) -> tuple[Task, ...]:
    """Return the known tasks, in Meta-World's order."""
    del level
    known = find_tasks(options.known_tasks)
    return tuple(
        Task(
            name=task.name,
            group=task.scene,
            goals=(
                Goal(
                    reset={"task": task.name},
                    instruction=task.instruction,
                    swapped=other_instruction(task, known),
                ),
            ),
        )
        for task in known
    )


def options_for(spec: TrajectorySpec) -> MetaWorldOptions:
    """Return options with the tasks of a policy's instructions and its observations.

    Raises:
        ValueError: if Meta-World does not have the policy's observations or actions.
    """
    known = tuple(task.name for task in MT50 if task.instruction in spec.instructions) or tuple(TASKS)
    states, images = dict(spec.states), dict(spec.images)
    if len(spec.actions) == len(ACTIONS) and spec.objects is None:
        if not images and states == SIZES:
            return _options(known, "state")
        sides = {side for size in images.values() for side in size}
        if states == {HAND: SIZES[HAND], GOAL: SIZES[GOAL]} and images.keys() == CAMERAS.keys() and len(sides) == 1:
            return _options(known, "images", frame_size=sides.pop())
    raise ValueError(
        f"the policy observes {states | images} and has {len(spec.actions)} action dimensions; Meta-World offers "
        f"{SIZES}, or {HAND} and {GOAL} with square frames {', '.join(CAMERAS)}, and has {len(ACTIONS)} action "
        "dimensions: choose another suite by --suite"
    )


def demonstrate(options: MetaWorldDemonstrationOptions, reset: Mapping[str, Any], seed: int) -> Demonstration | None:
    """Record one demonstration, with noise on the executed actions."""
    environment = _environment(options, reset["task"])
    columns = expert.demonstrate(environment, reset["task"], seed, bins=options.bins, noise=options.noise)
    return None if columns is None else Demonstration(instruction=environment.instruction, columns=columns)


@functools.lru_cache(maxsize=len(MT10))
def _environment(options: MetaWorldOptions, task: str) -> MetaWorld:
    """Return an environment for many demonstrations of a task: loading its scene takes longer than playing in it."""
    return MetaWorld(replace(options, known_tasks=(task,)))


def _options(known: tuple[str, ...], observation: Kind, **others: Any) -> MetaWorldOptions:
    name = next((name for name, those in SETS.items() if those == known), None)
    return MetaWorldOptions(known_tasks=(name,) if name else known, observation=observation, **others)


SUITE = Suite(
    name="metaworld",
    options=MetaWorldOptions,
    options_for=options_for,
    build=MetaWorld,
    tasks=tasks,
    task_sets=SETS,
    controls=("swapped",),
    make_expert=expert.MetaWorldExpert,
    demonstrate=demonstrate,
    demonstration_options=MetaWorldDemonstrationOptions,
    equal_shares=True,
)
