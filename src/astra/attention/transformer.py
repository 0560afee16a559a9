"""The trunk: GPT-2 blocks over a prompt, a context and its action queries."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from astra.attention.layers import Attention, Block, FeedForward
from astra.attention.positions import LearnedPositions


@dataclass(frozen=True)
class SharedPrompt:
    """The distinct prompts of a batch. A prompt reads nothing but itself, so each is encoded once."""

    tokens: Float[Tensor, "P L D"]
    mask: Float[Tensor, "#P #H L L"]
    """Additive."""
    of: Int[Tensor, " B"]
    """Which prompt belongs to each trajectory of the batch."""


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
        prompt: SharedPrompt,
        context: Float[Tensor, "B C D"],
        queries: Float[Tensor, "B Q D"],
        mask: Float[Tensor, "#B #H R S"],
        *,
        context_out: bool,
    ) -> Float[Tensor, "B R2 D"]:
        """Run all blocks over the rows: the context, then the queries.

        Args:
            prompt: What all rows may read; its own tokens read nothing else.
            context: State and action tokens.
            queries: Action queries of all timesteps; none (Q = 0) when a trajectory is only encoded.
            mask: Additive; rows are context then queries, columns are prompt then context.
            context_out: Whether the context comes out too; without it the last block computes the queries only.
        """
        num_context = context.shape[1]
        rows, tokens = torch.cat([context, queries], dim=1), prompt.tokens
        for layer, block in enumerate(self.blocks):
            last = layer == len(self.blocks) - 1
            reading = _Reading(prompt.of)
            tokens = block(tokens, tokens.shape[1], prompt.mask, remember=reading.prompt)
            context_reads = context_out or not last
            block_mask = mask if context_reads else mask[..., num_context:, :]
            rows = block(rows, num_context, block_mask, context_reads=context_reads, remember=reading.context)
        return self.final_norm(rows)

    @torch.no_grad()
    def attention_maps(
        self,
        prompt: SharedPrompt,
        context: Float[Tensor, "B C D"],
        queries: Float[Tensor, "B Q D"],
        mask: Float[Tensor, "#B #H R S"],
    ) -> list[Float[Tensor, "B H R S"]]:
        """Collect every block's attention weights. Source: Figure 8."""
        rows, tokens = torch.cat([context, queries], dim=1), prompt.tokens
        maps = []
        for block in self.blocks:
            assert isinstance(block, Block)
            reading = _Reading(prompt.of)
            tokens = block(tokens, tokens.shape[1], prompt.mask, remember=reading.prompt)
            normed = block.attention_norm(rows)
            maps.append(block.attention.weights(normed, context.shape[1], mask, remember=reading.context))
            rows = block(rows, context.shape[1], mask, remember=reading.context)
        return maps


class _Reading:
    """Hands the keys and values that a block made of the distinct prompts to the rows that read them."""

    def __init__(self, of: Int[Tensor, " B"]) -> None:
        self.of = of

    def prompt(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.keys, self.values = keys, values
        return keys, values

    def context(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([self.keys[self.of], keys], dim=2), torch.cat([self.values[self.of], values], dim=2)


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
