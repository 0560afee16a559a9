"""Perturbed actions: a slightly deviated path leads to the same place.

Noise is added in continuous space, before there are bins. Its standard deviation is a share of that of the data, and at
least one bin, since what stays in its bin is no change. Binary and constant dimensions stay what they are. Source:
section 3.3, Figure 4a. Deviation: the paper gives neither the distribution nor its scale.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.policies.policy import TrajectoryEncoder
from astra.tokenizers.actions import DiscreteActions


class ActionPerturbation(nn.Module):
    """Gaussian noise on the actions that a policy reads."""

    deviation: Tensor
    low: Tensor
    high: Tensor
    periodic: Tensor

    def __init__(self, policy: TrajectoryEncoder, share: float) -> None:
        """Find the noise's scale.

        Args:
            policy: tells the bounds, the bins and which dimensions vary.
            share: standard deviation of the noise, as a share of that of the data.
        """
        super().__init__()
        spec, actions = policy.spec.actions, policy.actions
        still = ~actions.varies | torch.tensor(spec.binary, device=actions.varies.device)
        std = policy.action_statistics.std.to(still.device)
        bin_width = actions.bin_width if isinstance(actions, DiscreteActions) else torch.zeros_like(std)
        deviation = torch.maximum(share * std, bin_width)
        self.register_buffer("deviation", deviation.masked_fill(still, 0.0), persistent=False)
        for name in ("low", "high", "periodic"):
            self.register_buffer(name, torch.tensor(getattr(spec, name), device=still.device), persistent=False)

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give actions a little aside, within their bounds; an angle goes around."""
        moved = actions + self.deviation * torch.randn_like(actions)
        around = self.low + (moved - self.low) % (self.high - self.low)
        within = torch.where(self.periodic, around, moved.clamp(self.low, self.high))
        return torch.where(self.deviation > 0, within, actions)
