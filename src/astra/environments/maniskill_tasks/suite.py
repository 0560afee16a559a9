"""ManiSkill's own tasks as a suite: pick-cube, stack-cube and place-sphere, with ManiSkill's starts and rules."""

import functools
from collections.abc import Mapping
from typing import Any

from astra.environments.maniskill.demonstrations import ManiSkillDemonstrationOptions, record
from astra.environments.maniskill.world import ManiSkillOptions, fitting_options
from astra.environments.maniskill_tasks.environment import SCENE_SIZE, ManiSkillTasks
from astra.environments.maniskill_tasks.expert import OwnTaskExpert
from astra.environments.maniskill_tasks.scenes import TASKS
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.trajectory import TrajectorySpec


def tasks(options: ManiSkillOptions, level: str) -> tuple[Task, ...]:
    """Return the tasks; the control `swapped` tells the instruction of the next one."""
    del options, level
    names = tuple(TASKS)
    return tuple(
        Task(
            name=name,
            goals=(
                Goal(reset={"task": name}, instruction=TASKS[name].instruction, swapped=TASKS[following].instruction),
            ),
        )
        for name, following in zip(names, (*names[1:], names[0]), strict=True)
    )


def options_for(spec: TrajectorySpec) -> ManiSkillOptions:
    """Return options with a policy's observations.

    Raises:
        ValueError: if ManiSkill does not have the policy's observations or actions.
    """
    return fitting_options(spec, SCENE_SIZE)


def demonstrate(options: ManiSkillDemonstrationOptions, reset: Mapping[str, Any], seed: int) -> Demonstration | None:
    """Record one demonstration, with disturbances."""
    return record(_environment(options), reset, seed, options, OwnTaskExpert)


@functools.lru_cache(maxsize=1)
def _environment(options: ManiSkillDemonstrationOptions) -> ManiSkillTasks:
    """Return an environment for many demonstrations: importing ManiSkill takes longer than an episode."""
    return ManiSkillTasks(options)


SUITE = Suite(
    name="maniskill-tasks",
    options=ManiSkillOptions,
    options_for=options_for,
    build=ManiSkillTasks,
    tasks=tasks,
    controls=("swapped",),
    make_expert=OwnTaskExpert,
    demonstrate=demonstrate,
    demonstration_options=ManiSkillDemonstrationOptions,
    equal_shares=True,
)
