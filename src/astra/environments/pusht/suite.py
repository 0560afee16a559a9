"""Push-T as a suite: one task with up to two named goals, which the instruction alone tells apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astra.environments.pusht import expert
from astra.environments.pusht.environment import AGENT, BLOCK, IMAGE, VISIBLE, Kind, PushT, PushTConfig
from astra.environments.pusht.geometry import CENTER, LOWER_RIGHT, Pose, goal_of, instruction_for
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.storage.numbers import Count, Pixels, WholeShare, check_numbers
from astra.trajectory import TrajectorySpec

BLOCK_SIZES: dict[Kind, int] = {"keypoints": 16, "state": 4}
"""Length of the vector that describes the T."""
BLINKING = 0.5
"""Probability that the T is hidden, for policies that observe whether it is."""


@dataclass(frozen=True, kw_only=True)
class PushTOptions:
    """Options of Push-T."""

    goals: tuple[Pose, ...] = (CENTER, LOWER_RIGHT)
    """Goal poses (x and y in pixels, angle in radians), taken in turn; two neighboring episodes share a seed."""
    observation: Kind = "keypoints"
    """How the T is observed: its corners, its pose, or pixels of the board."""
    frame_size: Pixels = 96
    """Side in pixels of the frames that are observed, if any."""
    max_timesteps: Count = 200
    """Length of an episode in timesteps. Source: appendix A.10."""
    hidden: WholeShare = 0.0
    """Probability per timestep that the T is hidden, so that the policy has to remember it; its column
    observation.visible says so. 0: the T is always seen, and there is no such column."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


@dataclass(frozen=True, kw_only=True)
class PushTDemonstrationOptions(PushTOptions):
    """Options of Push-T's demonstrations."""

    disturbance: WholeShare = 0.03
    """Probability per timestep that the T or the agent is moved a little; the expert corrects it."""
    near_goal: WholeShare = 0.25
    """Share of the episodes that start near the goal."""


def build(options: PushTOptions) -> PushT:
    """Build the environment."""
    return _config(options).build()


def tasks(options: PushTOptions, level: str) -> tuple[Task, ...]:
    """Return the one task.

    Raises:
        ValueError: if there is no goal.
    """
    del level
    if not options.goals:
        raise ValueError("Push-T needs at least one goal: leave --goals out, or name x, y and angle")
    goals = tuple(Goal(reset={"goal": goal}, instruction=instruction_for(goal)) for goal in options.goals)
    return (Task(name=PushT.task, goals=goals),)


def options_for(spec: TrajectorySpec) -> PushTOptions:
    """Return options with the goals of a policy's instructions and its observations.

    A policy whose instructions name no goal, such as one that learned from other people's demonstrations, is measured
    at the center, the usual goal.

    Raises:
        ValueError: if Push-T does not have the policy's observations or actions.
    """
    goals = tuple(filter(None, map(goal_of, spec.instructions))) or (CENTER,)
    if len(spec.actions) == 2 and spec.objects is None:
        for kind, size in BLOCK_SIZES.items():
            for hidden, flag in ((0.0, {}), (BLINKING, {VISIBLE: 1})):
                if not spec.images and dict(spec.states) == {AGENT: 2, BLOCK: size, **flag}:
                    return PushTOptions(goals=goals, observation=kind, hidden=hidden)
        if dict(spec.states) == {AGENT: 2} and set(spec.images) == {IMAGE}:
            height, width = spec.images[IMAGE]
            if height == width:
                return PushTOptions(goals=goals, observation="pixels", frame_size=height)
    raise ValueError(
        f"the policy observes {dict(spec.states) | dict(spec.images)} and has {len(spec.actions)} action dimensions; "
        f"Push-T offers {AGENT} (2) with {BLOCK} (16 or 4), beside it {VISIBLE} (1) if the T is hidden at times, or "
        f"square frames {IMAGE}, and has 2 action dimensions: "
        "choose another suite by --suite"
    )


def demonstrate(options: PushTDemonstrationOptions, reset: Mapping[str, Any], seed: int) -> Demonstration | None:
    """Record one demonstration, with disturbances."""
    shown = expert.demonstrate(
        _config(options), seed, goal=reset["goal"], disturbance=options.disturbance, near_goal=options.near_goal
    )
    if shown is None:
        return None
    instruction, recorded = shown
    columns = {name: values for name, values in recorded.items() if not name.startswith("next.")}
    return Demonstration(instruction=instruction, columns=columns)


def _config(options: PushTOptions) -> PushTConfig:
    return PushTConfig(
        observation=options.observation,
        frame_size=options.frame_size,
        max_timesteps=options.max_timesteps,
        hidden=options.hidden,
    )


SUITE = Suite(
    name="pusht",
    options=PushTOptions,
    options_for=options_for,
    build=build,
    tasks=tasks,
    controls=("swapped",),
    make_expert=expert.PushTExpert,
    demonstrate=demonstrate,
    demonstration_options=PushTDemonstrationOptions,
)
