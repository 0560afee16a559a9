"""AdamW with two groups of weight decay, and the learning rate over a run."""

import math
from typing import Any

import torch
from torch import nn

DECAYED = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Layers whose weights decay; biases, norms, embeddings, action queries and position embeddings do not."""


def decay_groups(module: nn.Module, weight_decay: float, prefix: str = "") -> list[dict[str, Any]]:
    """Split the trained parameters into those with weight decay and those without.

    Args:
        module: module in training.
        weight_decay: weight decay of the first group.
        prefix: prefix of the parameters' names.
    """
    decayed = {id(layer.weight) for layer in module.modules() if isinstance(layer, DECAYED)}
    trained = [(prefix + name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    return [
        {"params": [(n, p) for n, p in trained if id(p) in decayed], "weight_decay": weight_decay},
        {"params": [(n, p) for n, p in trained if id(p) not in decayed], "weight_decay": 0.0},
    ]


def build_optimizer(
    policy: nn.Module,
    contrastive: nn.Module | None = None,
    *,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> torch.optim.AdamW:
    """Build AdamW over the trained parameters of a policy and of the head of contrastive dynamics learning.

    Args:
        policy: policy in training.
        contrastive: contrastive head; None: none.
        learning_rate: initial learning rate.
        weight_decay: weight decay of weight matrices.
        betas: decay rates of the first and second moments.
    """
    groups = decay_groups(policy, weight_decay)
    if contrastive is not None:
        groups += decay_groups(contrastive, weight_decay, prefix="contrastive.")
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def learning_rate_factor(share: float, warmup: float) -> float:
    """Return the learning rate as a fraction of its peak: a linear warm-up, then half a cosine down to 0.

    Args:
        share: fraction of the run that is done, 0 to 1.
        warmup: fraction of the run that is warm-up, at least 0 and below 1.
    """
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warmup) / (1 - warmup))))
