"""The loss on held-out episodes."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from astra.datasets.batches import batches_in_order
from astra.datasets.windows import Windows
from astra.parallel.processes import own_share
from astra.policies.policy import Policy
from astra.training.objective import Means, Objective


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
    chosen = np.linspace(0, len(windows) - 1, min(num_windows, len(windows))).round().astype(np.int64)
    share = own_share(chosen)
    objective, means = Objective(policy), Means()
    for positions in batches_in_order(max(1, len(share)), max(1, batch_size // accelerator.num_processes)):
        trajectory = windows.batch(share[positions] if len(share) else chosen[:1]).to(accelerator.device)
        with accelerator.autocast():
            cost = objective(trajectory)
        means.add(cost if len(share) else replace(cost, count=0 * cost.count))  # without a window: metrics of weight 0
    return means.take(accelerator)
