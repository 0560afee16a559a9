"""The trunk: GPT-2 blocks over a context and its action queries."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.attention.layers import Attention, Block, FeedForward
from astra.attention.positions import LearnedPositions


class Transformer(nn.Module):
    """Blocks and a final norm; what Table 1 to 6 and appendix A.11 count as the model's parameters.

    A learned position table belongs to the trunk, as GPT-2's does: with it three of the paper's four counts come
    out, without it the fourth (38M).
    """

    def __init__(
        self, *, layers: int, heads: int, width: int, dropout: float = 0.0, positions: LearnedPositions | None = None
    ) -> None:
        """Make and initialise the blocks."""
        super().__init__()
        self.positions = positions
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width)
        initialise(self)

    def forward(
        self,
        context: Float[Tensor, "B C D"],
        queries: Float[Tensor, "B Q D"] | None,
        mask: Float[Tensor, "#B #H R C"],
        *,
        context_out: bool,
    ) -> Float[Tensor, "B R2 D"]:
        """Run all blocks over the rows (context, then queries).

        Args:
            context: Prompt, state and action tokens.
            queries: Action queries of all timesteps, or None when a trajectory is only encoded.
            mask: Additive; rows are context then queries, columns are the context.
            context_out: Whether the context comes out too; without it the last block computes the queries only.
        """
        num_context = context.shape[1]
        rows = context if queries is None else torch.cat([context, queries], dim=1)
        for block in self.blocks[:-1]:
            rows = block(rows, num_context, mask)
        last_mask = mask if context_out else mask[..., num_context:, :]
        return self.final_norm(self.blocks[-1](rows, num_context, last_mask, context_reads=context_out))

    @torch.no_grad()
    def attention_maps(
        self, context: Float[Tensor, "B C D"], queries: Float[Tensor, "B Q D"], mask: Float[Tensor, "#B #H R C"]
    ) -> list[Float[Tensor, "B H R C"]]:
        """Collect every block's attention weights. Source: Figure 8."""
        num_context = context.shape[1]
        rows = torch.cat([context, queries], dim=1)
        maps = []
        for block in self.blocks:
            assert isinstance(block, Block)
            maps.append(block.attention.weights(block.attention_norm(rows), num_context, mask))
            rows = block(rows, num_context, mask)
        return maps


def initialise(transformer: Transformer) -> None:
    """Initialise as GPT-2 does.

    ============================  =========================================
    linear weights                normal, 0.02
    weights that end a residual   normal, 0.02 / sqrt(2 layers)
    position table                normal, 0.02
    biases                        0
    layer norms                   scale 1, shift 0
    ============================  =========================================
    """
    residual_std = 0.02 / (2 * len(transformer.blocks)) ** 0.5
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
    for module in transformer.modules():
        if isinstance(module, Attention):
            nn.init.normal_(module.out.weight, std=residual_std)
        elif isinstance(module, FeedForward):
            nn.init.normal_(module.down.weight, std=residual_std)
