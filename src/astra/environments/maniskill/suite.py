"""ManiSkill as a suite: combinations of target and container, seen in training or not, at the levels of Table 2."""

import functools
from collections.abc import Mapping
from functools import partial
from typing import Any

from astra.environments.maniskill.demonstrations import ManiSkillDemonstrationOptions, record
from astra.environments.maniskill.environment import SIZES, ManiSkill
from astra.environments.maniskill.expert import ManiSkillExpert
from astra.environments.maniskill.levels import LEVELS, TRAINING, combinations_of, names_by_difficulty
from astra.environments.maniskill.objects import instruction_for
from astra.environments.maniskill.starts import start_of
from astra.environments.maniskill.world import SCENE, ManiSkillOptions, fitting_options
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.trajectory import TrajectorySpec


def tasks(options: ManiSkillOptions, level: str) -> tuple[Task, ...]:
    """Return the combinations of a level; the control `swapped` names a distractor, and the same container.

    Where there is no distractor, it tells the instruction of the level's next target.
    """
    del options
    those = combinations_of(level)
    others = (*those[1:], *those[:1])
    return tuple(
        Task(
            name=combination.name,
            goals=(
                Goal(
                    reset={"level": level, "task": combination.name},
                    instruction=combination.instruction,
                    swapped=partial(wrong_instruction, level, combination.name, other.instruction),
                ),
            ),
        )
        for combination, other in zip(those, others, strict=True)
    )


def wrong_instruction(level: str, task: str, otherwise: str, seed: int) -> str:
    """Return an instruction that names a distractor of an episode as the target.

    Args:
        level: Level of the episode.
        task: Task of the episode.
        otherwise: Instruction where there is no distractor.
        seed: Seed of the episode.
    """
    layout = start_of(level, task, seed).layout
    distractors = [target for target, _ in layout.objects[1:]]
    return instruction_for(distractors[0], layout.combination.container) if distractors else otherwise


def options_for(spec: TrajectorySpec) -> ManiSkillOptions:
    """Return options with a policy's observations.

    Raises:
        ValueError: if ManiSkill does not have the policy's observations or actions.
    """
    return fitting_options(spec, SIZES[SCENE])


def demonstrate(options: ManiSkillDemonstrationOptions, reset: Mapping[str, Any], seed: int) -> Demonstration | None:
    """Record one demonstration, with disturbances."""
    return record(_environment(options), reset, seed, options, ManiSkillExpert)


@functools.lru_cache(maxsize=1)
def _environment(options: ManiSkillDemonstrationOptions) -> ManiSkill:
    """Return an environment for many demonstrations: importing ManiSkill takes longer than an episode."""
    return ManiSkill(options)


SUITE = Suite(
    name="maniskill",
    options=ManiSkillOptions,
    options_for=options_for,
    build=ManiSkill,
    tasks=tasks,
    task_sets={str(difficulty): names for difficulty, names in names_by_difficulty().items()},
    levels=LEVELS,
    training_level=TRAINING,
    controls=("swapped",),
    make_expert=ManiSkillExpert,
    demonstrate=demonstrate,
    demonstration_options=ManiSkillDemonstrationOptions,
    equal_shares=True,
)
