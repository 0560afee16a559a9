"""Flamingo's perceiver resampler: any number of state tokens to a few.

Learned latents, the same at every timestep, attend to the tokens of the state and to themselves for a few layers; the
results are the state's tokens. Hidden objects are ignored.

Source: Alayrac et al. 2022, Flamingo, section 3.1; VIMA's comparison (four latents per timestep).
Deviation: the feed-forward halves are gated (GEGLU), as in the trunk that follows; Flamingo's are not.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from astra.attention.initialization import init_std, initialize
from astra.attention.masks import additive
from astra.attention.vima_block import CrossBlock


class Resampler(nn.Module):
    """Perceiver resampler: latents attend to the tokens of a state, 16 D^2 + 4 D parameters per layer."""

    def __init__(
        self, *, num_tokens: int, latents: int, layers: int, heads: int, width: int, dropout: float = 0.0
    ) -> None:
        """Build and initialize latents and layers.

        Args:
            num_tokens: Tokens of a state; each gets a learned embedding, since those of two cameras look alike
                otherwise.
            latents: Number of output tokens.
            layers: Number of cross-attention layers.
            heads: Number of attention heads.
            width: D.
            dropout: Dropout probability in training.

        Raises:
            ValueError: if there are no latents or no layers.
        """
        super().__init__()
        if latents < 1 or layers < 1:
            raise ValueError(f"a resampler needs at least one latent and one layer, got {latents} and {layers}")
        self.slots = nn.Parameter(torch.randn(num_tokens, width) * init_std(width))
        self.latents = nn.Parameter(torch.randn(latents, width) * init_std(width))
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(CrossBlock(width, heads, dropout) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width)
        initialize(self, width)

    def forward(
        self, tokens: Float[Tensor, "*batch M D"], valid: Bool[Tensor, "*batch M"]
    ) -> Float[Tensor, "*batch R D"]:
        """Return the latents after they attended to the valid tokens."""
        batch = valid.shape[:-1]
        rows = self.norm(tokens + self.slots).flatten(0, -3)
        real = torch.cat([valid, valid.new_ones(*batch, len(self.latents))], dim=-1)
        mask = additive(real.flatten(0, -2), rows.dtype)[:, None, None]
        x = self.latents.expand(len(rows), -1, -1)
        for block in self.blocks:
            assert isinstance(block, CrossBlock)
            x = block(x, block.keys_values(torch.cat([rows, block.norm(x)], dim=1)), mask)
        return self.final_norm(x).unflatten(0, batch)
