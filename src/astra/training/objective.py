"""What training minimizes, and its means over several batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, nn

from astra.augmentation.pictures import AugmentationConfig, augment
from astra.contrastive_dynamics.negatives import Contrast
from astra.contrastive_dynamics.objective import ContrastiveDynamics
from astra.policies.policy import Policy
from astra.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one batch costs."""

    loss: Float[Tensor, ""]
    """To be minimized; a mean over the valid action entries."""
    metrics: Mapping[str, Float[Tensor, ""]]
    """Detached means to log, the loss among them."""
    count: Int[Tensor, ""]
    """Number of valid action entries."""


class Objective(nn.Module):
    """Behavior cloning, and where it is wanted contrastive dynamics learning: L_BC + alpha L_CDL.

    It is a module because `accelerate` wraps the forward pass of modules, and a policy's `loss` is none.

    Source: Eq. 1, and the end of section 3.3. Deviation: the paper's contrastive mean is over all trajectories of a
    batch; here it is over the anchors of each micro-batch, and counts by the micro-batch's valid action entries.
    """

    def __init__(
        self,
        policy: Policy[Any],
        contrastive: ContrastiveDynamics | None = None,
        augmentation: AugmentationConfig | None = None,
    ) -> None:
        """Hold the policy whose loss is taken.

        Args:
            policy: that learns.
            contrastive: compares trajectories; None: behavior cloning alone.
            augmentation: of what behavior cloning sees in training; None: as it was recorded.
        """
        super().__init__()
        self.policy, self.contrastive, self.augmentation = policy, contrastive, augmentation

    def forward(self, trajectory: Trajectory, contrast: Contrast | None = None) -> Cost:
        """Compute the loss of a batch; what is contrasted in it was drawn before.

        The metric `loss` is that of behavior cloning, so that it means the same with and without the other.
        """
        if contrast is None or self.contrastive is None:
            return self._clone(trajectory)
        loss, metrics = self.contrastive(self.policy, trajectory, contrast)
        if self.training and self.contrastive.config.contrastive_only:
            return Cost(loss=loss, metrics={"loss": loss.detach(), **metrics}, count=trajectory.valid.sum())
        cloned = self._clone(trajectory)
        weighted = cloned.loss + self.contrastive.config.weight * loss
        return Cost(loss=weighted, metrics={**cloned.metrics, **metrics}, count=cloned.count)

    def _clone(self, trajectory: Trajectory) -> Cost:
        if self.training and self.augmentation is not None:
            trajectory = augment(trajectory, self.augmentation)
        losses = self.policy.loss(trajectory)
        loss = losses.behavior_cloning
        return Cost(loss=loss, metrics={"loss": loss.detach(), **losses.metrics}, count=losses.count)


class Means:
    """Means of several batches' metrics, weighted by their numbers of valid action entries."""

    def __init__(self) -> None:
        """Begin with no batch."""
        self._sums: dict[str, Tensor] = {}
        self._count: Tensor | None = None

    def __bool__(self) -> bool:
        """Tell whether there is a batch."""
        return self._count is not None

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
