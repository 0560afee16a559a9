"""The tabletop and VIMA-Bench as worlds in which a policy is measured by level and task."""

from astra.environments.poses import ACTIONS as POSES
from astra.environments.poses import ActionForm
from astra.environments.tabletop.environment import ACTIONS, FRAMES, OBJECTS, TabletopConfig
from astra.environments.tabletop.expert import TabletopExpert
from astra.environments.tabletop.levels import TASKS_OF_LEVELS
from astra.environments.vima_bench.environment import VimaBenchConfig, tasks_of
from astra.environments.vima_bench.expert import VimaExpert
from astra.suites.config import NO_SIMULATOR
from astra.suites.pictured_evaluation import World
from astra.trajectory import TrajectorySpec


def tabletop_world(*, frames: bool = False) -> World:
    """Describe the tabletop, with the frames of its views or without."""
    return World(
        name="tabletop",
        build=TabletopConfig(frames=frames).build,
        tasks_of=TASKS_OF_LEVELS.__getitem__,
        make_expert=TabletopExpert,
    )


def vima_bench_world(form: ActionForm, max_objects: int) -> World:
    """Describe VIMA-Bench for a policy that acts in this form and has room for so many objects."""
    return World(
        name="VIMA-Bench",
        build=VimaBenchConfig(actions=form, max_objects=max_objects).build,
        tasks_of=lambda level: tuple(tasks_of(level)),
        make_expert=VimaExpert,
        expert_options={"expert": True},
        one_at_a_time=True,
    )


def world_of(spec: TrajectorySpec) -> World:
    """Find the world in which a policy's objects are seen and its actions are taken.

    Raises:
        ValueError: if neither is, telling what each has.
    """
    objects = spec.objects
    if objects is not None and objects.views.items() <= OBJECTS.views.items():
        if spec.actions == ACTIONS and spec.images.items() <= FRAMES.items():
            return tabletop_world(frames=bool(spec.images))
        for form, actions in POSES.items():
            if spec.actions == actions and not spec.images:
                return vima_bench_world(form, objects.max_objects)
    raise ValueError(
        f"this policy sees objects in the views {dict(objects.views) if objects else {}} and the frames "
        f"{dict(spec.images)}, and acts by {', '.join(spec.actions.names)} in {spec.actions.bins or 'no'} bins; the "
        f"tabletop has the views {dict(OBJECTS.views)}, the frames {FRAMES}, and {', '.join(ACTIONS.names)} in "
        f"{ACTIONS.bins} bins; VIMA-Bench the same views, no frames, and "
        f"{' or '.join(str(actions.bins) for actions in POSES.values())} bins; {NO_SIMULATOR}"
    )
