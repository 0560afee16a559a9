"""What a policy chooses by itself in the first timesteps of held-out demonstrations, dimension by dimension.

The accuracy that training logs is teacher-forced: a policy that reads its action dimensions one after the other (Gato)
has the demonstrated ones before it. In acting it has its own, and one wrong choice takes the others along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from astra.analysis.split import check_fits
from astra.datasets import LeRobotDataset, Windows
from astra.datasets.batches import batches_in_order
from astra.evaluation.success import Estimate, wilson_interval
from astra.objects import Objects
from astra.policies.policy import Policy
from astra.trajectory import ActionSpec, Observation, Trajectory

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How near to the demonstrated value a policy's own choices of a dimension are."""

    name: str
    error: float
    """Mean distance, in the dimension's own unit."""
    near: Estimate
    """Share of episodes in which it is near."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """A policy's first actions beside the demonstrated ones."""

    dimensions: tuple[Choice, ...]
    """Those that vary in the training data."""
    all_near: Estimate
    """Share of episodes in which all of them are near."""
    teacher_forced_accuracy: float | None
    """`action_accuracy` of the policy's loss at the same timesteps; None where it tells none."""


def first_choices(policy: Policy[Any], dataset: LeRobotDataset, episodes: Sequence[int], within: float) -> Choices:
    """Let a policy choose the first action of each of the episodes.

    Args:
        policy: in evaluation mode.
        dataset: the demonstrations.
        episodes: those that it has not seen.
        within: what is near, as a share of a dimension's range.

    Raises:
        ValueError: if the demonstrations are not of what the policy sees and does, or `within` is not between 0 and 1.
    """
    if not 0 < within < 1:
        raise ValueError(f"got within={within}, expected a share of the range between 0 and 1, such as 0.05")
    check_fits(policy, dataset)
    windows = Windows(dataset, episodes, timesteps=1, chunk_size=policy.chunk_size, stride=int(dataset.lengths.max()))
    chosen, demonstrated, told, weights = [], [], [], []
    with torch.no_grad():
        for positions in batches_in_order(len(windows), BATCH_SIZE):
            trajectory = windows.batch(positions)
            losses = policy.loss(trajectory)
            if "action_accuracy" in losses.metrics:
                told.append(float(losses.metrics["action_accuracy"]))
                weights.append(int(losses.count))
            state = policy.start(trajectory.instructions, [0] * len(positions), trajectory.pictures)
            chosen.append(policy.act(state, _first(trajectory))[0])
            demonstrated.append(trajectory.actions[:, 0])
    errors = distances(torch.cat(chosen), torch.cat(demonstrated), policy.spec.actions)
    near = errors <= within * _width(policy.spec.actions)
    varies = policy.statistics.actions.max > policy.statistics.actions.min
    return Choices(
        dimensions=tuple(
            Choice(name=name, error=float(errors[:, n].mean()), near=_share(near[:, n]))
            for n, name in enumerate(policy.spec.actions.names)
            if varies[n]
        ),
        all_near=_share(near[:, varies].all(dim=1)),
        teacher_forced_accuracy=float(np.average(told, weights=weights)) if told else None,
    )


def distances(
    chosen: Float[Tensor, "B N"], demonstrated: Float[Tensor, "B N"], actions: ActionSpec
) -> Float[Tensor, "B N"]:
    """Give how far values lie from each other; in periodic dimensions the shorter way around."""
    width = _width(actions)
    distance = (chosen - demonstrated).abs()
    around = torch.minimum(distance % width, width - distance % width)
    return torch.where(torch.tensor(actions.periodic), around, distance)


def _width(actions: ActionSpec) -> Float[Tensor, " N"]:
    return torch.tensor(actions.high, dtype=torch.float32) - torch.tensor(actions.low, dtype=torch.float32)


def _first(trajectory: Trajectory) -> Observation:
    return Observation(
        states={name: values[:, 0] for name, values in trajectory.states.items()},
        images={name: frames[:, 0] for name, frames in trajectory.images.items()},
        previous_action=torch.zeros_like(trajectory.actions[:, 0]),
        objects={
            name: Objects(crops=view.crops[:, 0], boxes=view.boxes[:, 0], valid=view.valid[:, 0])
            for name, view in trajectory.objects.items()
        },
    )


def _share(hits: Bool[Tensor, " B"]) -> Estimate:
    return wilson_interval(int(hits.sum()), len(hits))
