"""Franka Kitchen as a suite: one task whose instruction, drawn by the seed, names four of seven tasks."""

import functools
from collections.abc import Mapping
from typing import Any

from astra.environments.franka_kitchen import demonstrations
from astra.environments.franka_kitchen.demonstrations import KitchenDemonstrationOptions
from astra.environments.franka_kitchen.environment import (
    ACTIONS,
    CAMERAS,
    ROBOT,
    SIZES,
    FrankaKitchen,
    KitchenOptions,
)
from astra.environments.franka_kitchen.expert import KitchenExpert
from astra.environments.franka_kitchen.tasks import fixed_tasks
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.trajectory import TrajectorySpec


def tasks(options: KitchenOptions, level: str) -> tuple[Task, ...]:
    """Return the one task; the seed draws what its instruction asks for."""
    del options, level
    return (Task(name=FrankaKitchen.task, goals=(Goal(),)),)


def options_for(spec: TrajectorySpec) -> KitchenOptions:
    """Return options with a policy's observations, and its four tasks if all its demonstrations ask for the same ones.

    Raises:
        ValueError: if Franka Kitchen does not have the policy's observations or actions.
    """
    states, images = dict(spec.states), dict(spec.images)
    asked = fixed_tasks(spec.instructions)
    if len(spec.actions) == len(ACTIONS) and spec.objects is None:
        if not images and states == SIZES:
            return KitchenOptions(asked=asked)
        sides = {side for size in images.values() for side in size}
        if states == {ROBOT: SIZES[ROBOT]} and images.keys() == CAMERAS.keys() and len(sides) == 1:
            return KitchenOptions(asked=asked, observation="images", frame_size=sides.pop())
    raise ValueError(
        f"the policy observes {states | images} and has {len(spec.actions)} action dimensions; Franka Kitchen offers "
        f"{SIZES}, or {ROBOT} with square frames {', '.join(CAMERAS)}, and has {len(ACTIONS)} action dimensions: "
        "choose another suite by --suite"
    )


def demonstrate(options: KitchenDemonstrationOptions, reset: Mapping[str, Any], seed: int) -> Demonstration | None:
    """Record one demonstration, with variation and disturbances."""
    environment = _environment(options)
    columns = demonstrations.demonstrate(environment, reset, seed, options)
    return None if columns is None else Demonstration(instruction=environment.instruction, columns=columns)


@functools.lru_cache(maxsize=1)
def _environment(options: KitchenDemonstrationOptions) -> FrankaKitchen:
    """Return an environment for many demonstrations: loading the kitchen takes as long as playing in it."""
    return FrankaKitchen(options)


SUITE = Suite(
    name="franka-kitchen",
    options=KitchenOptions,
    options_for=options_for,
    build=FrankaKitchen,
    tasks=tasks,
    controls=("shuffled",),
    make_expert=KitchenExpert,
    demonstrate=demonstrate,
    demonstration_options=KitchenDemonstrationOptions,
)
