"""Loss that training minimizes, and means of metrics over several batches."""

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
    """Loss and metrics of one batch."""

    loss: Float[Tensor, ""]
    """Loss to minimize, a mean over the valid action entries."""
    metrics: Mapping[str, Float[Tensor, ""]]
    """Detached means to log, with the loss."""
    count: Int[Tensor, ""]
    """Number of valid action entries, or of valid timesteps where nothing is cloned: the weight of this batch."""


class Objective(nn.Module):
    """Behavior cloning with optional contrastive dynamics learning: L_BC + alpha L_CDL.

    It is a module because `accelerate` wraps the forward pass of a module, not a policy's `loss`.

    Source: Eq. 1, and the end of section 3.3. Deviation: the paper's contrastive mean is over all trajectories of a
    batch; here it is over the anchors of each micro-batch, weighted by the micro-batch's valid action entries.

    Args:
        policy: policy in training.
        contrastive: contrastive dynamics learning. None: behavior cloning only.
        augmentation: augmentation of what behavior cloning sees in training. None: none.
    """

    def __init__(
        self,
        policy: Policy[Any],
        contrastive: ContrastiveDynamics | None = None,
        augmentation: AugmentationConfig | None = None,
    ) -> None:
        super().__init__()
        self.policy, self.contrastive, self.augmentation = policy, contrastive, augmentation

    def forward(self, trajectory: Trajectory, contrast: Contrast | None = None, weight: float | None = None) -> Cost:
        """Compute the loss of a batch.

        The metric `loss` is that of behavior cloning, so that it can be compared between runs with and without
        contrastive dynamics learning; where nothing is cloned it is the contrastive loss.

        Args:
            trajectory: the batch.
            contrast: anchors, positives and negatives, drawn before from the same batch.
            weight: alpha. None: that of the configuration.
        """
        if contrast is None or self.contrastive is None:
            return self._behavior_cloning(trajectory)
        loss, metrics = self.contrastive(self.policy, trajectory, contrast)
        if self.training and self.contrastive.config.contrastive_only:
            return Cost(loss=loss, metrics={"loss": loss.detach(), **metrics}, count=trajectory.valid.sum())
        cloned = self._behavior_cloning(trajectory)
        alpha = self.contrastive.config.weight if weight is None else weight
        weighted = cloned.loss + alpha * loss
        return Cost(loss=weighted, metrics={**cloned.metrics, **metrics}, count=cloned.count)

    def _behavior_cloning(self, trajectory: Trajectory) -> Cost:
        if self.training and self.augmentation is not None:
            trajectory = augment(trajectory, self.augmentation)
        losses = self.policy.loss(trajectory)
        loss = losses.behavior_cloning
        return Cost(loss=loss, metrics={"loss": loss.detach(), **losses.metrics}, count=losses.count)


class MetricMeans:
    """Means of metrics over the batches that have them, weighted by the number of valid action entries."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def __bool__(self) -> bool:
        """Whether a batch was added."""
        return bool(self._counts)

    def add(self, cost: Cost) -> None:
        """Add one batch, without waiting for the device."""
        for name, value in cost.metrics.items():
            weighted = value.detach().float() * cost.count
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
            count = cost.count.float()
            self._counts[name] = self._counts[name] + count if name in self._counts else count

    def pop(self, accelerator: Accelerator | None = None) -> dict[str, float]:
        """Return the means since the last call, over all processes of an accelerator if given, and reset them."""
        assert self._counts, "no batch was added"
        totals = torch.stack([*self._counts.values(), *self._sums.values()])
        if accelerator is not None:
            totals = accelerator.reduce(totals, "sum")
            assert isinstance(totals, Tensor)
        counts, sums = totals.view(2, -1).tolist()
        means = {name: total / max(count, 1) for name, count, total in zip(self._sums, counts, sums, strict=True)}
        self._sums, self._counts = {}, {}
        return means
