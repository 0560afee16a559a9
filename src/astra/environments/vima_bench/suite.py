"""VIMA-Bench as a suite: its tasks at four levels of generalization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astra.environments.poses import ACTIONS, ActionForm
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.environments.vima_bench import expert
from astra.environments.vima_bench.environment import VIEWS, VimaBench, VimaBenchConfig, tasks_of
from astra.storage.numbers import Tokens, check_numbers
from astra.trajectory import TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class VimaBenchOptions:
    """Options of VIMA-Bench."""

    actions: ActionForm = "se2"
    """Form of the actions: six numbers in SE(2), or VIMA-Bench's twelve with quaternions."""
    max_objects: Tokens = 8
    """Rows for objects in an observation; no task was seen with more than 8."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


def build(options: VimaBenchOptions) -> VimaBench:
    """Start the simulator."""
    return VimaBenchConfig(actions=options.actions, max_objects=options.max_objects).build()


def tasks(options: VimaBenchOptions, level: str) -> tuple[Task, ...]:
    """Return the tasks of a level.

    Raises:
        ValueError: if VIMA-Bench is not installed.
    """
    del options
    return tuple(Task(name=name, goals=(Goal(reset={"level": level, "task": name}),)) for name in tasks_of(level))


def options_for(spec: TrajectorySpec) -> VimaBenchOptions:
    """Return options with a policy's form of actions and its number of objects.

    Raises:
        ValueError: if VIMA-Bench does not have the policy's views or actions, or the policy reads frames.
    """
    views = spec.objects.views if spec.objects else {}
    if spec.objects and views.items() <= VIEWS.items() and not spec.images:
        for form, actions in ACTIONS.items():
            if spec.actions == actions:
                return VimaBenchOptions(actions=form, max_objects=spec.objects.max_objects)
    raise ValueError(
        f"the policy observes objects in the views {dict(views)} and the frames {dict(spec.images)}, and acts by "
        f"{', '.join(spec.actions.names)} in {spec.actions.bins or 'no'} bins; VIMA-Bench has the views {VIEWS}, no "
        f"frames, and actions in {' or '.join(str(actions.bins) for actions in ACTIONS.values())} bins: choose another "
        "suite by --suite"
    )


def demonstrate(options: VimaBenchOptions, reset: Mapping[str, Any], seed: int) -> Demonstration | None:
    """Record one demonstration in a simulator of its own."""
    config = VimaBenchConfig(
        task=reset["task"], level=reset["level"], actions=options.actions, max_objects=options.max_objects
    )
    return expert.demonstrate(config, seed)


SUITE = Suite(
    name="vima-bench",
    options=VimaBenchOptions,
    options_for=options_for,
    build=build,
    tasks=tasks,
    levels=("L1", "L2", "L3", "L4"),
    training_level="train",
    controls=("shuffled", "blank"),
    max_envs=1,
    make_expert=expert.VimaExpert,
    expert_reset={"expert": True},
    demonstrate=demonstrate,
    equal_shares=True,
)
