"""The tabletop as a suite: 17 tasks at four levels of generalization."""

from dataclasses import dataclass

from astra.environments.suite import Goal, Suite, Task
from astra.environments.tabletop.environment import ACTIONS, FRAMES, OBJECTS, Tabletop, TabletopConfig
from astra.environments.tabletop.expert import TabletopExpert
from astra.environments.tabletop.levels import TASKS_OF_LEVELS
from astra.storage.numbers import WholeShare, check_numbers
from astra.trajectory import TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class TabletopOptions:
    """Options of the tabletop."""

    frames: bool = False
    """Whether observations have a frame of 64 x 128 pixels from each view, besides the objects: for policies that read
    images."""
    slips: WholeShare = 0.0
    """Share of the episodes in which suction slips once: it picks beside the object or lets go of it beside its goal,
    and the agent has to try again. The action of a demonstration stays the right one."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


def build(options: TabletopOptions) -> Tabletop:
    """Build the environment."""
    return TabletopConfig(frames=options.frames, slips=options.slips).build()


def tasks(options: TabletopOptions, level: str) -> tuple[Task, ...]:
    """Return the tasks of a level."""
    del options
    return tuple(
        Task(name=name, goals=(Goal(reset={"level": level, "task": name}),)) for name in TASKS_OF_LEVELS[level]
    )


def options_for(spec: TrajectorySpec) -> TabletopOptions:
    """Return options with frames where a policy reads them.

    Raises:
        ValueError: if the tabletop does not have the policy's views, frames or actions.
    """
    views = spec.objects.views if spec.objects else {}
    fits = views and views.items() <= OBJECTS.views.items() and spec.images.items() <= FRAMES.items()
    if fits and spec.actions == ACTIONS:
        return TabletopOptions(frames=bool(spec.images))
    raise ValueError(
        f"the policy observes objects in the views {dict(views)} and the frames {dict(spec.images)}, and acts by "
        f"{', '.join(spec.actions.names)} in {spec.actions.bins or 'no'} bins; the tabletop has the views "
        f"{dict(OBJECTS.views)}, the frames {FRAMES}, and the actions {', '.join(ACTIONS.names)} in {ACTIONS.bins} "
        "bins: choose another suite by --suite"
    )


SUITE = Suite(
    name="tabletop",
    options=TabletopOptions,
    options_for=options_for,
    build=build,
    tasks=tasks,
    levels=("L1", "L2", "L3", "L4"),
    training_level="train",
    controls=("shuffled", "blank"),
    make_expert=TabletopExpert,
)
