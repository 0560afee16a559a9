"""Controls: the same episodes with a wrong prompt. A policy that follows its prompt fails in them."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from astra.environments.environment import Environment
from astra.environments.suite import Task
from astra.evaluation.episode import Case
from astra.objects import Pictures
from astra.progress import tracked
from astra.suites.config import EvaluationConfig


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Prompt of one episode."""

    instruction: str
    """Instruction, with placeholders where pictures stand."""
    pictures: Pictures
    """Pictures at the placeholders."""

    def same_as(self, other: "Prompt") -> bool:
        """Whether words and pictures are equal."""
        if self.instruction != other.instruction or self.pictures.keys() != other.pictures.keys():
            return False
        return all(
            np.array_equal(array, other.pictures[name][view][part])
            for name, views in self.pictures.items()
            for view, parts in views.items()
            for part, array in parts.items()
        )


def prompts_of(build: Callable[[], Environment], cases: Sequence[Case]) -> list[Prompt]:
    """Return the prompt of every case."""
    prompts = []
    with closing(build()) as environment:
        for case in tracked(cases, "reading prompts", len(cases), "episodes"):
            environment.reset(seed=case.seed, options=dict(case.options))
            pictures = dict(environment.prompt_pictures)
            prompts.append(Prompt(instruction=environment.instruction, pictures=pictures))
    return prompts


def swapped(cases: Sequence[Case], chosen: Sequence[tuple[str, Task]], config: EvaluationConfig) -> list[Case]:
    """Return the cases with the wrong instruction that a goal names, or with that of the task's next goal.

    Args:
        cases: Episodes of each task in turn.
        chosen: Pairs of level and task.
        config: Number of episodes of each.

    Raises:
        ValueError: if a goal names none and its task has no second goal.
    """
    changed, left = list[Case](), iter(cases)
    for level, task in chosen:
        if len(task.goals) < 2 and not any(goal.swapped for goal in task.goals):
            raise ValueError(
                f"swapped instructions need two goals, but the policy knows one goal of {task.name}: leave swapped out "
                "of --agents, or name more goals"
            )
        for number, case in enumerate(islice(left, config.episodes_of(level))):
            goal, other = (task.goals[n % len(task.goals)] for n in (number, number + 1))
            wrong = goal.swapped(case.seed) if callable(goal.swapped) else goal.swapped
            changed.append(replace(case, instruction=wrong or other.instruction))
    return changed


def shuffled(cases: Sequence[Case], prompts: Sequence[Prompt], tasks: Sequence[str]) -> list[Case]:
    """Return the cases, each with the prompt of the next episode of its task and level that has another prompt.

    Args:
        cases: Episodes.
        prompts: Prompt of each case.
        tasks: Name of the task of each case.

    Raises:
        ValueError: if a task has no second prompt.
    """
    cells: dict[tuple[str, str], list[int]] = {}
    for number, (case, task) in enumerate(zip(cases, tasks, strict=True)):
        cells.setdefault((case.group, task), []).append(number)
    changed = list(cases)
    for (level, task), numbers in cells.items():
        for index, number in enumerate(numbers):
            following = numbers[index + 1 :] + numbers[:index]
            other = next((prompts[n] for n in following if not prompts[n].same_as(prompts[number])), None)
            if other is None:
                raise ValueError(
                    f"{task}{f' at {level}' if level else ''} has no second prompt among {len(numbers)} episodes: "
                    "shuffling needs more --episodes"
                )
            changed[number] = replace(cases[number], instruction=other.instruction, pictures=other.pictures)
    return changed


def blank(cases: Sequence[Case], prompts: Sequence[Prompt]) -> list[Case]:
    """Return the cases with blank pictures in their prompts, which show the number of objects only."""
    return [replace(case, pictures=_blank(prompt.pictures)) for case, prompt in zip(cases, prompts, strict=True)]


def _blank(pictures: Pictures) -> Pictures:
    return {
        name: {
            view: {part: array if part == "valid" else np.zeros_like(array) for part, array in parts.items()}
            for view, parts in views.items()
        }
        for name, views in pictures.items()
    }
