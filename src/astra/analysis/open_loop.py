"""Open-loop error: a policy's own first actions compared with those of held-out demonstrations.

The accuracy logged in training is teacher-forced: a policy that predicts its action dimensions one after another (Gato)
is given the demonstrated earlier ones. In a rollout it has only its own, and one wrong dimension misleads the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from astra.analysis.split import check_same_spec
from astra.datasets import LeRobotDataset, Windows
from astra.datasets.batches import batches_in_order
from astra.evaluation.success import Estimate, wilson_interval
from astra.objects import Objects
from astra.policies.policy import Policy
from astra.trajectory import ActionSpec, Observation, Trajectory

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class DimensionResult:
    """Error of a policy in one action dimension."""

    name: str
    """Name of the dimension."""
    error: float
    """Mean absolute error, in the dimension's unit."""
    near: Estimate
    """Share of episodes in which the error is within the tolerance."""


@dataclass(frozen=True, kw_only=True)
class OpenLoopResult:
    """Error of a policy's first actions."""

    dimensions: tuple[DimensionResult, ...]
    """Results of the dimensions that vary in the training data."""
    all_near: Estimate
    """Share of episodes in which all of these dimensions are within the tolerance."""
    teacher_forced_accuracy: float | None
    """`action_accuracy` of the policy's loss at the same timesteps; None if its loss has none."""


def open_loop_error(
    policy: Policy[Any], dataset: LeRobotDataset, episodes: Sequence[int], within: float
) -> OpenLoopResult:
    """Compare a policy's first action with the demonstrated one in each of the episodes.

    Args:
        policy: Policy in evaluation mode.
        dataset: Demonstrations.
        episodes: Episodes to compare, usually the held-out ones.
        within: Tolerance, as a share of a dimension's range.

    Raises:
        ValueError: if the dataset does not have the policy's states, images, objects and actions, or `within` is not
            between 0 and 1.
    """
    if not 0 < within < 1:
        raise ValueError(f"got within={within}, expected a share of the range between 0 and 1, such as 0.05")
    check_same_spec(policy, dataset)
    windows = Windows(dataset, episodes, timesteps=1, chunk_size=policy.chunk_size, stride=int(dataset.lengths.max()))
    chosen, demonstrated, accuracies, weights = [], [], [], []
    with torch.no_grad():
        for positions in batches_in_order(len(windows), BATCH_SIZE):
            trajectory = windows.batch(positions)
            losses = policy.loss(trajectory)
            if "action_accuracy" in losses.metrics:
                accuracies.append(float(losses.metrics["action_accuracy"]))
                weights.append(int(losses.count))
            state = policy.start(trajectory.instructions, [0] * len(positions), trajectory.pictures)
            chosen.append(policy.act(state, observe_first(trajectory, torch.zeros_like(trajectory.actions[:, 0])))[0])
            demonstrated.append(trajectory.actions[:, 0])
    errors = absolute_errors(torch.cat(chosen), torch.cat(demonstrated), policy.spec.actions)
    near = errors <= within * _width(policy.spec.actions)
    varies = policy.statistics.actions.max > policy.statistics.actions.min
    return OpenLoopResult(
        dimensions=tuple(
            DimensionResult(name=name, error=float(errors[:, n].mean()), near=_share(near[:, n]))
            for n, name in enumerate(policy.spec.actions.names)
            if varies[n]
        ),
        all_near=_share(near[:, varies].all(dim=1)),
        teacher_forced_accuracy=float(np.average(accuracies, weights=weights)) if accuracies else None,
    )


def absolute_errors(
    chosen: Float[Tensor, "B N"], demonstrated: Float[Tensor, "B N"], actions: ActionSpec
) -> Float[Tensor, "B N"]:
    """Return the absolute error of each dimension; in periodic dimensions the shorter way around."""
    width = _width(actions)
    distance = (chosen - demonstrated).abs()
    around = torch.minimum(distance % width, width - distance % width)
    return torch.where(torch.tensor(actions.periodic), around, distance)


def _width(actions: ActionSpec) -> Float[Tensor, " N"]:
    return torch.tensor(actions.high, dtype=torch.float32) - torch.tensor(actions.low, dtype=torch.float32)


def observe_first(trajectory: Trajectory, previous_action: Float[Tensor, "B N"]) -> Observation:
    """Return the observations at the first timestep of trajectories."""
    return Observation(
        states={name: values[:, 0] for name, values in trajectory.states.items()},
        images={name: frames[:, 0] for name, frames in trajectory.images.items()},
        previous_action=previous_action,
        present=trajectory.present,
        action_present=trajectory.action_present,
        objects={
            name: Objects(crops=view.crops[:, 0], boxes=view.boxes[:, 0], valid=view.valid[:, 0])
            for name, view in trajectory.objects.items()
        },
    )


def _share(hits: Bool[Tensor, " B"]) -> Estimate:
    return wilson_interval(int(hits.sum()), len(hits))
