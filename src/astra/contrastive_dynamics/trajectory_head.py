"""One embedding per trajectory: the action tokens of its last timestep, pooled, through one or two layers.

These tokens attend to the whole trajectory. Source: section 3.3, Figure 2 (the red box).
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from astra.attention.initialization import init_std

Pooling = Literal["max", "mean", "attention"]
"""Maximum over tokens, mean, or a mean weighted by a learned query."""


class TrajectoryHead(nn.Module):
    """Embedding f of Equation 2. Source: max pooling as in Li et al. 2023b (RoboFlamingo), which the paper names."""

    def __init__(self, width: int, projection: int, pooling: Pooling = "max", layers: Literal[1, 2] = 1) -> None:
        """Build the layers.

        Args:
            width: D, the width of a token.
            projection: F, the width of an embedding.
            pooling: How several tokens become one.
            layers: One linear layer, or two with a GELU in between.
        """
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) * init_std(width)) if pooling == "attention" else None
        self.pooling = pooling
        self.hidden = nn.Sequential(nn.Linear(width, width), nn.GELU()) if layers == 2 else nn.Identity()
        self.linear = nn.Linear(width, projection)

    def forward(self, actions: Float[Tensor, "R T N D"], real: Bool[Tensor, "R T"]) -> Float[Tensor, "R F"]:
        """Embed trajectories from their encoded actions, without autocast; padding is ignored."""
        last = (torch.arange(real.shape[1], device=real.device) * real).argmax(1)
        tokens = actions.gather(1, last[:, None, None, None].expand(-1, 1, *actions.shape[2:]))[:, 0]
        with torch.autocast(tokens.device.type, enabled=False):
            return self.linear(self.hidden(self._pool(tokens.to(self.linear.weight.dtype))))

    def _pool(self, tokens: Float[Tensor, "R N D"]) -> Float[Tensor, "R D"]:
        if self.query is not None:
            weights = (tokens @ self.query / tokens.shape[-1] ** 0.5).softmax(dim=1)
            return (weights[..., None] * tokens).sum(1)
        return tokens.amax(1) if self.pooling == "max" else tokens.mean(1)
