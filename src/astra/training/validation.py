"""The loss on held-out episodes, and how well right dynamics are told from wrong ones there."""

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
from astra.training.objective import Cost, Means, Objective


@torch.no_grad()  # not inference_mode: what a frozen encoder caches here is read again in training
def validate(
    accelerator: Accelerator, policy: Policy[Any], windows: Windows, *, num_windows: int, batch_size: int
) -> dict[str, float]:
    """Compute the policy's mean metrics, each valid action entry counting once; every process reads its share.

    Args:
        accelerator: tells the device and the precision.
        policy: in evaluation mode.
        windows: of the held-out episodes.
        num_windows: at most so many are read, spread evenly; always the same ones.
        batch_size: windows at once, over all processes.
    """
    chosen = _spread(len(windows), num_windows)
    share = own_share(chosen)
    objective, means = Objective(policy), Means()
    for positions in batches_in_order(max(1, len(share)), max(1, batch_size // accelerator.num_processes)):
        trajectory = windows.batch(share[positions] if len(share) else chosen[:1]).to(accelerator.device)
        with accelerator.autocast():
            cost = objective(trajectory)
        means.add(cost if len(share) else replace(cost, count=0 * cost.count))  # without a window: metrics of weight 0
    return means.take(accelerator)


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
    """Compute the contrastive metrics on held-out episodes, each of which is an anchor; every process does the same.

    Args:
        accelerator: tells the device and the precision.
        policy: in evaluation mode; its weights are those that the head was trained with.
        contrastive: its trajectory head.
        windows: of the held-out episodes.
        num_windows: at most so many are read, spread evenly; always the same ones.
        batch_size: windows at once, out of which negatives are made.

    Returns:
        The means over anchors; nothing where the windows are too few to make negatives.
    """
    chosen = _spread(len(windows), num_windows)
    means, device = Means(), next(contrastive.parameters()).device  # of a sharded run, where its whole state lies
    for positions in batches_in_order(len(chosen), batch_size):
        trajectory = windows.batch(chosen[positions])
        try:
            contrast = contrastive.config.draw(trajectory, fraction=1.0)
        except TooFewEpisodesError:  # in a short rest, or a dataset of few
            continue
        with accelerator.autocast():
            loss, metrics = contrastive(policy, trajectory.to(device), contrast.to(device))
        means.add(Cost(loss=loss, metrics=metrics, count=torch.tensor(len(contrast.anchors), device=loss.device)))
    return means.take() if means else {}


def _spread(available: int, wanted: int) -> Int64[np.ndarray, " W"]:
    """Choose at most so many of the windows, evenly; always the same ones."""
    return np.linspace(0, available - 1, min(wanted, available)).round().astype(np.int64)
