"""The exponential moving average of a policy's weights."""

import copy
from typing import Any, Generic, TypeVar

import torch

from astra.policies.policy import Policy

P = TypeVar("P", bound=Policy[Any])


class EMA(Generic[P]):
    """A copy of a policy whose weights follow the original's: average <- d average + (1 - d) weights.

    At update n (from 0) the decay is d = min(ceiling, 1 - (1 + n)^-power): the first updates replace the weights, and
    the span of the average grows with the run. Frozen weights are shared with the original; buffers are copied.

    Source: Block et al., ICLR 2024 (why averaging steadies rollouts); Chi et al., RSS 2023 (power 0.75).

    Args:
        policy: the original.
        ceiling: largest decay, 0 to below 1; 0: no averaging.
        power: how fast the decay grows.
    """

    def __init__(self, policy: P, *, ceiling: float, power: float) -> None:
        frozen = {id(weight): weight for weight in policy.parameters() if not weight.requires_grad}
        self.policy = copy.deepcopy(policy, frozen).eval().requires_grad_(False)
        self.ceiling = ceiling
        self.power = power
        self.updates = 0

    @property
    def decay(self) -> float:
        """The decay of the update that comes next."""
        return min(self.ceiling, 1 - (1 + self.updates) ** -self.power)

    @torch.no_grad()
    def update(self, policy: P) -> None:
        """Follow the original after an update of its weights."""
        pairs = zip(self.policy.parameters(), policy.parameters(), strict=True)
        trained = [(ema, weight) for ema, weight in pairs if ema is not weight]  # others are frozen
        averages: list[torch.Tensor] = [ema for ema, _ in trained]
        weights: list[torch.Tensor] = [weight for _, weight in trained]
        torch._foreach_lerp_(averages, weights, 1 - self.decay)  # pyright: ignore[reportPrivateImportUsage]
        for own, buffer in zip(self.policy.buffers(), policy.buffers(), strict=True):
            own.copy_(buffer)
        self.updates += 1
