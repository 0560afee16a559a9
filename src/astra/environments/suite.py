"""A benchmark suite as one object: its environments, tasks, expert and rules.

`astra.demonstrations` collects from a suite and `astra.suites` measures policies in it; neither knows a benchmark by
name. A suite holds data and functions of the environment's side only, never a policy or a dataset.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from astra.environments import ENTRY_POINTS, SUITES, suite_notes
from astra.environments.environment import Environment
from astra.lazy_function import import_from_here, made_by
from astra.objects import Pictures
from astra.trajectory import TrajectorySpec

Control = Literal["swapped", "shuffled", "blank"]
"""The policy with a wrong prompt: another goal's instruction, another episode's prompt, or its own with blank
pictures."""


@runtime_checkable
class Expert(Protocol):
    """Solves one episode with full knowledge of the environment."""

    def act(self, environment: Any) -> np.ndarray:
        """Return the next action for the present state of the environment."""
        ...


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One way to reset an environment for a task."""

    reset: Mapping[str, Any] = field(default_factory=dict)
    """Options of the environment's `reset`, such as {"task": "rotate", "level": "L1"}."""
    instruction: str = ""
    """Instruction of this goal, needed for the control "swapped"; empty: known after the reset only."""
    swapped: str | Mapping[str, str] | Callable[[int], str] = ""
    """Wrong instruction that the control "swapped" tells, such as another task's, or one for each instruction that the
    environment may have, or a function of the episode's seed; empty: that of the next goal."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of a suite, the unit for which results are reported."""

    name: str
    """Name of the task, as in the environment's `task`."""
    goals: tuple[Goal, ...] = (Goal(),)
    """Goals of the task, taken in turn."""
    group: str = ""
    """Group of the results, such as the scene that several tasks share, in suites without levels; with levels, results
    are grouped by them."""


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One successful episode of the expert."""

    instruction: str
    """Instruction of the episode."""
    columns: Mapping[str, np.ndarray]
    """`action` and `observation.*`, first axis time."""
    pictures: Pictures = field(default_factory=dict)
    """Pictures at the instruction's placeholders."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Everything that collecting and measuring need to know of a benchmark.

    What belongs to one environment is asked of the environment: its spec, its episode limit (`max_timesteps`) and the
    action that does nothing (`no_op_action`).
    """

    name: str
    """Name on the command line, in datasets and in checkpoints."""
    options: type[Any]
    """Frozen dataclass of the suite's own options, each with a default; its fields are flags of the command line."""
    options_for: Callable[[TrajectorySpec], Any]
    """Returns the options in which a policy with this spec can act; raises ValueError where there are none."""
    build: Callable[[Any], Environment]
    """Builds an environment from options. It serves every task: `reset` chooses the task."""
    tasks: Callable[[Any, str], Sequence[Task]]
    """Returns the tasks of a level from options and the level's name, which is empty where there are no levels."""
    task_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names that stand for several tasks where tasks are chosen."""
    levels: tuple[str, ...] = ()
    """Levels of generalization at which policies are measured; empty: there are no levels."""
    training_level: str = ""
    """Level of the demonstrations."""
    success: Literal["at any step", "at the last step"] = "at any step"
    """When `is_success` must be true for an episode to count as a success."""
    controls: tuple[Control, ...] = ()
    """Controls that make sense here: "swapped" where tasks have goals with instructions, "shuffled" and "blank" where
    prompts have pictures."""
    max_envs: int | None = None
    """Largest number of environments that one process can hold; None: no limit."""
    make_expert: Callable[[int], Expert] | None = None
    """Makes the expert of one episode from its seed; None: there is no expert."""
    expert_reset: Mapping[str, Any] = field(default_factory=dict)
    """Further options of `reset` in episodes of the expert."""
    demonstrate: Callable[[Any, Mapping[str, Any], int], Demonstration | None] | None = None
    """Records a demonstration from options, a goal's `reset` and a seed, or returns None if it fails; None: the expert
    acts from the reset on until it succeeds."""
    demonstration_options: type[Any] | None = None
    """Subclass of `options` with further options of `demonstrate`; None: there are none."""
    sentences: Callable[[Any], Mapping[str, Sequence[str]]] | None = None
    """Returns from options the sentences of which training tells one for an instruction of a demonstration, chosen anew
    in every epoch; None: always the instruction itself."""
    equal_shares: bool = False
    """Whether each task has seeds of its own and gets the same number of demonstrations. Otherwise one seed after the
    other is tried, and the seed chooses the task."""

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            ValueError: if the name is empty or has a colon, which stands for module:function.
        """
        if not self.name or ":" in self.name:
            raise ValueError(f"a suite needs a name without a colon, got {self.name!r}")

    def spec(self, options: Any) -> TrajectorySpec:
        """Return the spec of an environment; building it also checks that the simulator is installed."""
        with closing(self.build(options)) as environment:
            return environment.spec_of_trajectories

    def choose(self, options: Any, levels: Sequence[str] = (), tasks: Sequence[str] = ()) -> list[tuple[str, Task]]:
        """Return the chosen pairs of level and task, in the suite's order.

        Args:
            options: Options of the suite.
            levels: Chosen levels; empty: all at which policies are measured.
            tasks: Names of the chosen tasks or sets of tasks; empty: all tasks of each level.

        Raises:
            ValueError: for an unknown level or task, or a level that was named and has none of the tasks.
        """
        known_levels = tuple(dict.fromkeys((*filter(None, [self.training_level]), *self.levels)))
        for level in levels:
            if level not in known_levels:
                has = f"its levels are {', '.join(known_levels)}" if known_levels else "it has no levels"
                raise ValueError(f"{self.name} has no level {level!r}; {has}")
        offered = {level: tuple(self.tasks(options, level)) for level in levels or self.levels or ("",)}
        known = list(dict.fromkeys(task.name for found in offered.values() for task in found))
        where = f" at {', '.join(offered)}" if any(offered) else ""
        alone = set(tasks) - self.task_sets.keys()
        tasks = tuple(name for chosen in tasks for name in self._members(chosen, known, where))
        for name in tasks:
            if name not in known:
                near = difflib.get_close_matches(name, (*known, *self.task_sets), n=3)
                meant = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
                raise ValueError(f"{self.name} has no task {name!r}{where}; {meant}")
        for level in levels:
            names = [task.name for task in offered[level]]
            if alone and not set(tasks) & set(names):
                raise ValueError(
                    f"{self.name} has none of the tasks {', '.join(tasks)} at {level}; it has {', '.join(names)}"
                )
        return [(level, task) for level, found in offered.items() for task in found if not tasks or task.name in tasks]

    def _members(self, chosen: str, known: Sequence[str], where: str) -> Sequence[str]:
        """Return the tasks of a set that are known where tasks are chosen, or the task that is no set.

        Raises:
            ValueError: if there are none.
        """
        if chosen not in self.task_sets:
            return (chosen,)
        if members := [name for name in self.task_sets[chosen] if name in known]:
            return members
        raise ValueError(f"{self.name} has no task of the set {chosen!r}{where}; it has {', '.join(known)}")


def find_suite(name: str) -> Suite:
    """Import a suite.

    Args:
        name: Name in `astra.environments.SUITES` or in the entry-point group `astra.suites`, or MODULE:ATTRIBUTE, of
            which the module may lie in the current directory. The attribute is a suite or a function that returns one.

    Raises:
        ValueError: if there is no such suite.
    """
    if ":" in name:
        import_from_here()
        return made_by(name, Suite, "suite")
    if name in SUITES:
        return made_by(SUITES[name].path, Suite, "suite")
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            return made_by(entry.value, Suite, "suite")
    raise ValueError(f"there is no suite {name!r}; {_choices()}")


def suite_of(spec: TrajectorySpec, name: str = "") -> Suite:
    """Return the suite in which a policy is measured.

    Args:
        spec: Spec of the policy, which has the name of its suite.
        name: Another suite, as for `find_suite`; empty: the one that the spec names.

    Raises:
        ValueError: if no suite is named, or there is no such suite.
    """
    if name:
        return find_suite(name)
    if not spec.suite:
        raise ValueError(
            f"the policy's demonstrations name no suite in which to measure it: {_choices()}. Without a simulator, "
            "astra report RUN compares predicted with demonstrated actions of held-out episodes"
        )
    if spec.suite not in suite_notes():
        raise ValueError(f"the policy belongs to the suite {spec.suite!r}, which is not installed: {_choices()}")
    return find_suite(spec.suite)


def _choices() -> str:
    return (
        f"use --suite NAME with one of {', '.join(suite_notes())}, or --suite MODULE:FUNCTION with your own "
        "(docs/add-an-environment.md)"
    )
