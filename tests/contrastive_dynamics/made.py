"""Trajectories whose segments encode their source, and trajectories of known dynamics."""

from dataclasses import replace

import torch

from astra.contrastive_dynamics.negatives import Contrast
from astra.objects import CROP, Objects
from astra.trajectory import ActionSpec, Statistics, Trajectory, TrajectorySpec, VectorStatistics

SPEC = TrajectorySpec(
    states={"place": 2},
    actions=ActionSpec(names=("x", "y"), low=(-4.0, -4.0), high=(4.0, 4.0)),
    instructions=("go there", "stay here"),
)
"""Spec of moving points: s_{t+1} = s_t + a_t."""


def vector(size: int, std: float = 1.0, bound: float = 4.0) -> VectorStatistics:
    ones = torch.ones(size)
    return VectorStatistics(mean=0 * ones, std=std * ones, min=-bound * ones, max=bound * ones)


STATISTICS = Statistics(states={"place": vector(2, 2.0)}, actions=vector(2))


def moves(B: int, T: int = 4, *, lengths: list[int] | None = None, seed: int = 0) -> Trajectory:
    """Build points that move by their actions."""
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randn(B, T, 2, generator=generator).clamp(-4, 4)
    places = torch.randn(B, 1, 2, generator=generator) + actions.cumsum(1) - actions
    valid = torch.arange(T) < torch.tensor(lengths or [T] * B)[:, None]
    return Trajectory(
        instructions=tuple(SPEC.instructions[b % 2] for b in range(B)),
        states={"place": places},
        images={},
        valid=valid,
        actions=actions,
        action_valid=valid,
    )


def sources(contrast: Contrast, B: int, T: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the source of each state and action (A, candidates, kind, T): (trajectory, timestep), and its version."""
    rows = contrast.rows[contrast.states // T]
    places = torch.stack([rows * T + contrast.states % T, contrast.actions], dim=2)
    reference = torch.stack([places // T % B, places % T], dim=-1)
    return reference, places // T // B


def with_objects(trajectory: Trajectory, O: int = 2, seed: int = 0) -> Trajectory:  # noqa: E741
    """Add objects in one view, with a bright square in the middle of each crop."""
    B, T = trajectory.valid.shape
    crops = torch.full((B, T, O, CROP, CROP, 3), 60, dtype=torch.uint8)
    crops[..., 12:20, 12:20, :] = 180
    boxes = torch.tensor([100.0, 50.0, 16.0, 32.0]).repeat(B, T, O, 1)
    return replace(
        trajectory, objects={"top": Objects(crops=crops, boxes=boxes, valid=torch.ones(B, T, O, dtype=torch.bool))}
    )
