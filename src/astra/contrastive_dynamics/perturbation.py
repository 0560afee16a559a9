"""Perturbation of actions: a slightly different path leads to the same place.

Noise is added in continuous space, before discretization. Its standard deviation is a share of that of the data, and at
least one bin, since a value that stays in its bin does not change. Binary and constant dimensions stay unchanged.
Source: section 3.3, Figure 4a. Deviation: the paper gives neither the distribution nor its scale.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.policies.policy import TrajectoryEncoder
from astra.tokenizers.actions import DiscreteActions


class ActionPerturbation(nn.Module):
    """Gaussian noise on the actions in a policy's input."""

    deviation: Tensor
    low: Tensor
    high: Tensor
    periodic: Tensor

    def __init__(self, encoder: TrajectoryEncoder, share: float) -> None:
        """Compute the scale of the noise.

        Args:
            encoder: Policy whose bounds, bins and varying dimensions decide the noise.
            share: Standard deviation of the noise, as a share of that of the data.
        """
        super().__init__()
        spec, actions = encoder.spec.actions, encoder.actions
        device = actions.varies.device
        constant = ~actions.varies | torch.tensor(spec.binary, device=device)
        std = encoder.action_statistics.std.to(device)
        bin_width = actions.bin_width if isinstance(actions, DiscreteActions) else torch.zeros_like(std)
        deviation = torch.maximum(share * std, bin_width)
        self.register_buffer("deviation", deviation.masked_fill(constant, 0.0), persistent=False)
        self.register_buffer("low", torch.tensor(spec.low, device=device), persistent=False)
        self.register_buffer("high", torch.tensor(spec.high, device=device), persistent=False)
        self.register_buffer("periodic", torch.tensor(spec.periodic, device=device), persistent=False)

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Return perturbed actions within their bounds; periodic dimensions wrap around."""
        moved = actions + self.deviation * torch.randn_like(actions)
        around = self.low + (moved - self.low) % (self.high - self.low)
        within = torch.where(self.periodic, around, moved.clamp(self.low, self.high))
        return torch.where(self.deviation > 0, within, actions)
