"""Measure a policy by level and task where prompts have pictures, beside controls that are shown another prompt.

    shuffled   the policy with the prompt of another episode of the task, instruction and pictures together
    blank      the policy with its own prompt, whose pictured objects are black and have boxes of zeros
    floor      does nothing
    expert     knows the goals

All agents play the same seeds. What the policy scores above `shuffled`, it has from its prompt; above `blank`, from the
pictures in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from astra.environments.environment import Environment
from astra.evaluation.agents import Expert, ExpertAgent, NoOp
from astra.evaluation.episode import Case
from astra.evaluation.evaluate import Evaluation, evaluate
from astra.objects import Pictures
from astra.parallel.processes import in_main
from astra.policies.policy import Policy
from astra.suites.config import MAX_TIMESTEPS, EvaluationConfig

LEVELS = ("L1", "L2", "L3", "L4")
"""The levels of evaluation; `train` is for demonstrations."""


@dataclass(frozen=True, kw_only=True)
class World:
    """An environment whose `reset` takes the options `task` and `level`."""

    name: str
    build: Callable[[], Environment]
    tasks_of: Callable[[str], Sequence[str]]
    """Names the tasks of a level."""
    make_expert: Callable[[int], Expert]
    expert_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `reset` that let the expert act."""
    one_at_a_time: bool = False
    """Whether a process can hold one environment only."""


def evaluate_pictured(
    policy: Policy[Any],
    world: World,
    folder: Path,
    config: EvaluationConfig,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Evaluation]:
    """Play all agents' episodes and write their results and videos under a folder.

    `policy` comes into the folder itself, the others beside it.

    Raises:
        ValueError: for an unknown level, task or agent, or if there are no episodes.
    """
    cells = chosen_cells(world, config)
    if "swapped" in config.agents:
        raise ValueError(f"{world.name} has no pairs of goals to swap; its controls are shuffled and blank")
    if config.max_timesteps != MAX_TIMESTEPS:
        raise ValueError(f"{world.name} sets the length of each episode itself: leave max_timesteps out")
    if config.episodes < 1:
        raise ValueError(f"an evaluation needs at least one episode per task, got {config.episodes}")
    cases = cases_of(cells, config)
    controls: dict[str, list[Case]] = {}
    if {"shuffled", "blank"} & set(config.agents):
        prompts = in_main(lambda: prompts_of(world, cases))
        controls = {"shuffled": shuffled(cases, prompts), "blank": blank(cases, prompts)}
    controls["expert"] = [replace(case, options={**case.options, **world.expert_options}) for case in cases]
    agents = {"floor": NoOp(), "expert": ExpertAgent(world.make_expert)}
    evaluations = {}
    for name in config.agents:
        evaluations[name] = evaluate(
            agents.get(name, policy),
            world.build,
            controls.get(name, cases),
            folder=folder if name == "policy" else folder / name,
            name=name,
            num_envs=1 if world.one_at_a_time else config.num_envs,
            workers=config.workers,
            cluster=config.cluster,
            num_videos=config.videos,
            provenance={"environment": world.name, **(provenance or {})},
        )
    return evaluations


def chosen_cells(world: World, config: EvaluationConfig) -> list[tuple[str, str]]:
    """Give the pairs of level and task to measure.

    Raises:
        ValueError: for an unknown level or task, or a level that has none of the tasks, naming those that there are.
    """
    for level in config.levels:
        if level not in LEVELS:
            raise ValueError(f"{world.name} is measured at the levels {', '.join(LEVELS)}, not at {level!r}")
    offered = {level: tuple(world.tasks_of(level)) for level in config.levels or LEVELS}
    known = list(dict.fromkeys(task for tasks in offered.values() for task in tasks))
    for task in config.tasks:
        if task not in known:
            raise ValueError(f"{world.name} has no task {task!r} at {', '.join(offered)}; it has {', '.join(known)}")
    for level in config.levels:
        if config.tasks and not set(config.tasks) & set(offered[level]):
            raise ValueError(
                f"{world.name} has none of the tasks {', '.join(config.tasks)} at {level}; "
                f"it has {', '.join(offered[level])}"
            )
    wanted = config.tasks or known
    return [(level, task) for level, tasks in offered.items() for task in tasks if task in wanted]


def cases_of(cells: Sequence[tuple[str, str]], config: EvaluationConfig) -> list[Case]:
    """Lay out the episodes, all of a task at a level in turn, with the same seeds for each."""
    return [
        Case(seed=config.seed + number, options={"level": level, "task": task}, group=level)
        for level, task in cells
        for number in range(config.episodes)
    ]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What one episode asks for."""

    instruction: str
    pictures: Pictures

    def same_as(self, other: "Prompt") -> bool:
        """Tell whether words and pictures are equal."""
        if self.instruction != other.instruction or self.pictures.keys() != other.pictures.keys():
            return False
        return all(
            np.array_equal(array, other.pictures[name][view][part])
            for name, views in self.pictures.items()
            for view, parts in views.items()
            for part, array in parts.items()
        )


def prompts_of(world: World, cases: Sequence[Case]) -> list[Prompt]:
    """Give every case's prompt."""
    environment = world.build()
    prompts = []
    try:
        for case in track(cases, description="prompts", transient=True):
            environment.reset(seed=case.seed, options=dict(case.options))
            pictures = dict(environment.prompt_pictures)
            prompts.append(Prompt(instruction=environment.instruction, pictures=pictures))
    finally:
        environment.close()
    return prompts


def shuffled(cases: Sequence[Case], prompts: Sequence[Prompt]) -> list[Case]:
    """Show each case the prompt of the next episode of its task and level whose prompt is another one.

    Raises:
        ValueError: if a task has no second prompt.
    """
    cells: dict[tuple[str, str], list[int]] = {}
    for number, case in enumerate(cases):
        cells.setdefault((case.options["level"], case.options["task"]), []).append(number)
    changed = list(cases)
    for (level, task), numbers in cells.items():
        for place, number in enumerate(numbers):
            following = numbers[place + 1 :] + numbers[:place]
            other = next((prompts[n] for n in following if not prompts[n].same_as(prompts[number])), None)
            if other is None:
                raise ValueError(
                    f"{task} at {level} has no second prompt among {len(numbers)} episodes: shuffling needs more"
                )
            changed[number] = replace(cases[number], instruction=other.instruction, pictures=other.pictures)
    return changed


def blank(cases: Sequence[Case], prompts: Sequence[Prompt]) -> list[Case]:
    """Show each case its own words with pictures that tell nothing but the number of objects in them."""
    return [replace(case, pictures=emptied(prompt.pictures)) for case, prompt in zip(cases, prompts, strict=True)]


def emptied(pictures: Pictures) -> Pictures:
    """Give pictures of as many objects, black and without extent."""
    return {
        name: {
            view: {part: array if part == "valid" else np.zeros_like(array) for part, array in parts.items()}
            for view, parts in views.items()
        }
        for name, views in pictures.items()
    }
