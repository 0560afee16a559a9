"""Metrics of behavior cloning and of contrastive dynamics learning on held-out episodes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Int64

from astra.contrastive_dynamics.negatives import TooFewEpisodesError
from astra.contrastive_dynamics.objective import ContrastiveDynamics
from astra.datasets.batches import batches_in_order
from astra.datasets.windows import Windows
from astra.parallel.processes import own_share
from astra.policies.policy import Policy
from astra.training.objective import Cost, MetricMeans, Objective


@torch.no_grad()  # not inference_mode: training uses what a frozen encoder caches here
def validate(
    accelerator: Accelerator, policy: Policy[Any], windows: Windows, *, num_windows: int, batch_size: int
) -> dict[str, float]:
    """Compute the policy's metrics as means over valid action entries; every process reads its share.

    Args:
        accelerator: accelerator, for device and precision.
        policy: policy in evaluation mode.
        windows: windows of the held-out episodes.
        num_windows: largest number of windows, evenly spaced and always the same.
        batch_size: windows per batch, over all processes.
    """
    chosen = _evenly_spaced(len(windows), num_windows)
    share = own_share(chosen)
    objective, means = Objective(policy), MetricMeans()
    for positions in batches_in_order(max(1, len(share)), max(1, batch_size // accelerator.num_processes)):
        trajectory = windows.batch(share[positions] if len(share) else chosen[:1]).to(accelerator.device)
        with accelerator.autocast():
            cost = objective(trajectory)
        means.add(cost if len(share) else replace(cost, count=0 * cost.count))  # no window: weight 0
    return means.pop(accelerator)


@torch.no_grad()
def validate_contrast(
    accelerator: Accelerator,
    policy: Policy[Any],
    contrastive: ContrastiveDynamics,
    windows: Windows,
    *,
    num_windows: int,
    batch_size: int,
) -> dict[str, float]:
    """Compute the contrastive metrics with every held-out window as an anchor, with negatives drawn anew.

    Args:
        accelerator: accelerator, for device and precision.
        policy: policy in evaluation mode, with the weights that the contrastive head was trained with.
        contrastive: contrastive head of the policy.
        windows: windows of the held-out episodes.
        num_windows: largest number of windows, evenly spaced and always the same.
        batch_size: largest number of windows per batch. Each batch is spread over all episodes, as those of training
            are, because negatives come from the other episodes of a batch.

    Returns:
        The means over anchors; empty if there are too few windows to make negatives.
    """
    chosen = _evenly_spaced(len(windows), num_windows)
    means = MetricMeans()
    device = next(contrastive.parameters()).device  # a sharded run keeps its whole state on the CPU
    batches = math.ceil(len(chosen) / batch_size)
    for first in range(batches):
        trajectory = windows.batch(chosen[first::batches])
        try:
            contrast = contrastive.config.draw(trajectory, fraction=1.0)
        except TooFewEpisodesError:  # a small dataset
            continue
        with accelerator.autocast():
            loss, metrics = contrastive(policy, trajectory.to(device), contrast.to(device))
        means.add(Cost(loss=loss, metrics=metrics, count=torch.tensor(len(contrast.anchors), device=loss.device)))
    return means.pop() if means else {}


def _evenly_spaced(available: int, wanted: int) -> Int64[np.ndarray, " W"]:
    """Return the indices of at most `wanted` windows, evenly spaced."""
    return np.linspace(0, available - 1, min(wanted, available)).round().astype(np.int64)
