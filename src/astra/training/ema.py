"""Exponential moving average (EMA) of a policy's weights."""

import copy
from typing import Any, Generic, TypeVar

import torch

from astra.policies.policy import Policy

P = TypeVar("P", bound=Policy[Any])


class EMA(Generic[P]):
    """Copy of a policy with averaged weights: average <- d average + (1 - d) weights.

    The decay at update n (from 0) is d = min(max_decay, 1 - (1 + n)^-power): the first updates replace the weights, and
    the average spans more updates as the run goes on. Frozen weights are shared with the policy; buffers are copied.

    Source: Block et al., ICLR 2024 (why averaging makes rollouts stable); Chi et al., RSS 2023 (power 0.75).

    Args:
        policy: policy in training.
        max_decay: maximum decay, at least 0 and below 1; 0: the weights themselves.
        power: exponent by which the decay grows.
    """

    def __init__(self, policy: P, *, max_decay: float, power: float) -> None:
        frozen = {id(weight): weight for weight in policy.parameters() if not weight.requires_grad}
        self.policy = copy.deepcopy(policy, frozen).eval().requires_grad_(False)
        self.max_decay = max_decay
        self.power = power
        self.updates = 0

    @property
    def decay(self) -> float:
        """Decay of the next update."""
        return min(self.max_decay, 1 - (1 + self.updates) ** -self.power)

    @torch.no_grad()
    def update(self, policy: P) -> None:
        """Average in the weights of the policy after an update."""
        pairs = zip(self.policy.parameters(), policy.parameters(), strict=True)
        trained = [(ema, weight) for ema, weight in pairs if ema is not weight]  # frozen weights are shared
        averages: list[torch.Tensor] = [ema for ema, _ in trained]
        weights: list[torch.Tensor] = [weight for _, weight in trained]
        torch._foreach_lerp_(averages, weights, 1 - self.decay)  # pyright: ignore[reportPrivateImportUsage]
        for own, buffer in zip(self.policy.buffers(), policy.buffers(), strict=True):
            own.copy_(buffer)
        self.updates += 1
