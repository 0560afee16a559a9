"""Trajectories of prompts with pictures and of objects, some of them hidden, made of random numbers."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from astra.objects import Objects, PromptPictures
    from astra.trajectory import Observation, Trajectory, TrajectorySpec

VIEWS = {"top": (128, 256), "front": (64, 96)}
INSTRUCTIONS = ("put the {dragged} into the {base} .", "rearrange to this {scene}", "stop now")
PICTURED = ((0, 1), (0, 0, 0), ())
"""Per instruction, the placeholder that each pictured object fills."""


def objects_of(*shape: int, generator: torch.Generator) -> "Objects":
    from astra.objects import Objects

    return Objects(
        crops=torch.randint(256, (*shape, 32, 32, 3), generator=generator, dtype=torch.uint8),
        boxes=60 * torch.rand(*shape, 4, generator=generator),
        valid=torch.rand(*shape, generator=generator) < 0.6,
    )


def pictures_of(instructions: tuple[str, ...], generator: torch.Generator) -> "PromptPictures":
    from astra.objects import PromptPictures

    placeholder = torch.full((len(instructions), 3), -1)
    for row, instruction in enumerate(instructions):
        numbers = PICTURED[INSTRUCTIONS.index(instruction)]
        placeholder[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    views = {view: objects_of(len(instructions), 3, generator=generator) for view in VIEWS}
    views["top"] = replace(views["top"], valid=placeholder >= 0)
    return PromptPictures(views=views, placeholder=placeholder)


def sample(spec: "TrajectorySpec", B: int = 3, T: int = 5) -> "Trajectory":
    from astra.trajectory import Trajectory

    generator = torch.Generator().manual_seed(0)
    low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
    instructions = tuple(INSTRUCTIONS[b % len(INSTRUCTIONS)] for b in range(B))
    actions = low + (high - low) * torch.rand(B, T, len(low), generator=generator)
    return Trajectory(
        instructions=instructions,
        states={name: torch.randn(B, T, size, generator=generator) for name, size in spec.states.items()},
        images={},
        valid=torch.ones(B, T, dtype=torch.bool),
        actions=torch.where(torch.tensor(spec.actions.binary), actions.round(), actions),
        action_valid=torch.ones(B, T, dtype=torch.bool),
        objects={view: objects_of(B, T, 4, generator=generator) for view in VIEWS},
        pictures=pictures_of(instructions, generator),
    )


def rows(trajectory: "Trajectory", b: slice, until: int | None = None) -> "Trajectory":
    from astra.objects import Objects

    def cut(view: "Objects") -> "Objects":
        return Objects(crops=view.crops[b, :until], boxes=view.boxes[b, :until], valid=view.valid[b, :until])

    index = list(range(len(trajectory.instructions)))[b]
    return replace(
        trajectory,
        instructions=trajectory.instructions[b],
        states={name: values[b, :until] for name, values in trajectory.states.items()},
        valid=trajectory.valid[b, :until],
        actions=trajectory.actions[b, :until],
        action_valid=trajectory.action_valid[b, :until],
        objects={name: cut(view) for name, view in trajectory.objects.items()},
        pictures=None if trajectory.pictures is None else trajectory.pictures[index],
    )


def at(trajectory: "Trajectory", t: int) -> "Observation":
    """Return the observation at timestep t of a rollout that executes the trajectory's actions."""
    from astra.trajectory import Observation

    objects = {
        name: replace(view, crops=view.crops[:, t], boxes=view.boxes[:, t], valid=view.valid[:, t])
        for name, view in trajectory.objects.items()
    }
    states = {name: values[:, t] for name, values in trajectory.states.items()}
    return Observation(states=states, images={}, previous_action=trajectory.actions[:, t - 1], objects=objects)
