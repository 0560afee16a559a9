"""What training minimises, and its means over several batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, nn

from astra.policies.policy import Policy
from astra.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one batch costs."""

    loss: Float[Tensor, ""]
    """To be minimised; a mean over the valid action entries."""
    metrics: Mapping[str, Float[Tensor, ""]]
    """Detached means to log, the loss among them."""
    count: Int[Tensor, ""]
    """Number of valid action entries."""


class Objective(nn.Module):
    """Behaviour cloning, L_BC. Source: Eq. 1.

    It is a module because `accelerate` wraps the forward pass of modules, and a policy's `loss` is none.
    """

    def __init__(self, policy: Policy[Any]) -> None:
        """Hold the policy whose loss is taken."""
        super().__init__()
        self.policy = policy

    def forward(self, trajectory: Trajectory) -> Cost:
        """Compute the loss of a batch."""
        losses = self.policy.loss(trajectory)
        loss = losses.behaviour_cloning
        return Cost(loss=loss, metrics={"loss": loss.detach(), **losses.metrics}, count=losses.count)


class Means:
    """Means of several batches' metrics, weighted by their numbers of valid action entries."""

    def __init__(self) -> None:
        """Begin with no batch."""
        self._sums: dict[str, Tensor] = {}
        self._count: Tensor | None = None

    def add(self, cost: Cost) -> None:
        """Take in one batch, without waiting for the device."""
        for name, value in cost.metrics.items():
            weighted = value.detach().float() * cost.count
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
        count = cost.count.float()
        self._count = count if self._count is None else self._count + count

    def take(self, accelerator: Accelerator | None = None) -> dict[str, float]:
        """Give the means over all batches since the last call, and over all processes of an accelerator."""
        assert self._count is not None, "no batch was added"
        totals = torch.stack([self._count, *self._sums.values()])
        if accelerator is not None:
            totals = accelerator.reduce(totals, "sum")
            assert isinstance(totals, Tensor)
        count, *sums = totals.tolist()
        means = {name: total / max(count, 1) for name, total in zip(self._sums, sums, strict=True)}
        self._sums, self._count = {}, None
        return means
