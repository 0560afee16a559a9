"""CALVIN as a suite: the protocol's chains of five instructions, and the 34 tasks one by one."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from astra.environments.calvin.clones import find_clones
from astra.environments.calvin.demonstrations import CalvinDemonstrationOptions, record
from astra.environments.calvin.environment import ACTIONS, CAMERAS, Calvin, CalvinOptions, sentences
from astra.environments.calvin.expert import CalvinExpert
from astra.environments.calvin.scene import find_scenes
from astra.environments.calvin.tasks import TASKS, other_task
from astra.environments.calvin.vectors import ROBOT, SIZES
from astra.environments.recording import play_again
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.trajectory import TrajectorySpec


def tasks(options: CalvinOptions, level: str) -> tuple[Task, ...]:
    """Return the task `chain`, or the 34 tasks; in demonstrations those of one scene after the other.

    Raises:
        ValueError: if the clones are missing.
    """
    del level
    if isinstance(options, CalvinDemonstrationOptions):
        if options.scene != "D":
            raise ValueError(
                f"demonstrations of CALVIN take the letters of their scenes by --scenes, got --scene {options.scene}"
            )
        resets = [{"task": name, "scene": scene} for scene in find_scenes(options.scenes) for name in TASKS]
        return tuple(Task(name=reset["task"], goals=(Goal(reset=reset),)) for reset in resets)
    told = sentences(find_clones(options.calvin), options.sentences)
    wrong = {sentence: told[other_task(name)][0] for name in TASKS for sentence in told[name]}
    group = f"scene {options.scene}"
    if options.play == "chains":
        return (Task(name="chain", group=group, goals=(Goal(swapped=wrong),)),)
    return tuple(Task(name=name, group=group, goals=(Goal(reset={"task": name}, swapped=wrong),)) for name in TASKS)


def options_for(spec: TrajectorySpec) -> CalvinOptions:
    """Return options with a policy's observations.

    Raises:
        ValueError: if CALVIN does not have the policy's observations or actions.
    """
    states, images = dict(spec.states), dict(spec.images)
    if len(spec.actions) == len(ACTIONS) and spec.objects is None:
        if not images and states == SIZES:
            return CalvinOptions()
        square = {CAMERAS[name]: size[0] for name, size in images.items() if name in CAMERAS and size[0] == size[1]}
        if states == {ROBOT: SIZES[ROBOT]} and len(square) == len(images) == len(CAMERAS):
            return CalvinOptions(observation="images", static_size=square["static"], gripper_size=square["gripper"])
    raise ValueError(
        f"the policy observes {states | images} and has {len(spec.actions)} action dimensions; CALVIN offers {SIZES}, "
        f"or {ROBOT} with square frames {', '.join(CAMERAS)}, and has {len(ACTIONS)} action dimensions: choose another "
        "suite by --suite"
    )


def demonstrate(options: CalvinDemonstrationOptions, reset: Mapping[str, Any], seed: int) -> Demonstration | None:
    """Record one demonstration, with variation and disturbances; images are rendered in a second play of it."""
    task = reset["task"]
    environment = _environment(replace(options, scene=reset["scene"]))
    environment.simulator.spare = False
    try:
        environment.renders = False
        recording = record(environment, task, seed, options)
        if recording is None:
            return None
        environment.renders = True
        if environment.spec_of_trajectories.images:
            recording = play_again(environment, {"task": task}, seed, recording)
    finally:
        environment.simulator.spare = True
    return Demonstration(instruction=environment.instruction, columns=recording.columns)


def sentences_of_training(options: CalvinOptions) -> dict[str, tuple[str, ...]]:
    """Return for each sentence those of the same task.

    Raises:
        ValueError: if the clones are missing.
    """
    told = sentences(find_clones(options.calvin), options.sentences)
    return {sentence: alike for alike in told.values() for sentence in alike}


_kept: list[tuple[CalvinOptions, Calvin]] = []


def _environment(options: CalvinDemonstrationOptions) -> Calvin:
    """Return the one environment that a process can have; it is made anew if the scene changes, or it was closed."""
    plain = CalvinOptions(**{field.name: getattr(options, field.name) for field in fields(CalvinOptions)})
    if not _kept or _kept[0][0] != plain or not _kept[0][1].simulator.alive:
        while _kept:
            _kept.pop()[1].close()
        _kept.append((plain, Calvin(plain)))
    return _kept[0][1]


SUITE = Suite(
    name="calvin",
    options=CalvinOptions,
    options_for=options_for,
    build=Calvin,
    tasks=tasks,
    controls=("swapped",),
    max_envs=1,
    make_expert=CalvinExpert,
    demonstrate=demonstrate,
    demonstration_options=CalvinDemonstrationOptions,
    sentences=sentences_of_training,
    equal_shares=True,
)
