"""Loss of the first action of each chunk on held-out demonstrations, at every timestep and with the whole history.

The validation of a training averages over all actions of a chunk, and over all places in a window. Here a policy sees
each timestep as it does when it acts: with all timesteps before it that its window holds. Policies with different
windows and chunks are hence compared on the same predictions.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from astra.analysis.split import check_same_spec
from astra.datasets import LeRobotDataset, Windows
from astra.datasets.batches import batches_in_order
from astra.policies.policy import Policy
from astra.trajectory import Trajectory

BATCH_SIZE = 128


@torch.no_grad()
def first_action_losses(
    policy: Policy[Any], dataset: LeRobotDataset, episodes: Sequence[int], timesteps: int
) -> Float[np.ndarray, " E"]:
    """Return the mean loss of the first action for each episode, in nats for discrete actions.

    Args:
        policy: policy in evaluation mode.
        dataset: demonstrations.
        episodes: episodes to measure, usually held-out ones.
        timesteps: length of the history in timesteps, the present one included; the policy's window cuts it further.

    Raises:
        ValueError: if the dataset does not have the policy's states, images, objects and actions.
    """
    check_same_spec(policy, dataset)
    losses = []
    for episode in episodes:
        windows = Windows(dataset, [episode], timesteps=timesteps, chunk_size=policy.chunk_size, ending=True)
        total, count = 0.0, 0
        for positions in batches_in_order(len(windows), BATCH_SIZE):
            found = policy.loss(without_later_actions(windows.batch(positions)).to(policy.device))
            total += float(found.behavior_cloning) * int(found.count)
            count += int(found.count)
        losses.append(total / max(count, 1))
    return np.array(losses, np.float64)


def without_later_actions(trajectory: Trajectory) -> Trajectory:
    """Return trajectories whose actions after the last real timestep are invalid, so that no loss counts them."""
    places = torch.arange(trajectory.actions.shape[1], device=trajectory.actions.device)
    now = trajectory.valid.sum(1, keepdim=True) - 1
    return replace(trajectory, action_valid=trajectory.action_valid & (places <= now))
