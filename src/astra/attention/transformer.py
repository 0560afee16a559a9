"""The trunk: blocks over a prompt, a context and its action queries; GPT-2's, or VIMA's."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.attention.kernels import Chunk, ChunkedKernel, PackedKernel, Rows, SharedPrompt, WeightsKernel
from astra.attention.layers import Attention, Block, FeedForward, Kernel
from astra.attention.positions import LearnedPositions
from astra.attention.vima_block import CrossBlock, GatedFeedForward, VimaBlock

__all__ = ["Initialisation", "SharedPrompt", "Transformer", "TrunkBlock"]

Initialisation = Literal["gpt2", "mimetic"]
"""As GPT-2, or with attention that begins by looking for what is like oneself and copying it."""
TrunkBlock = Literal["gpt2", "vima"]
"""GPT-2's block, as in Astra; or the post-LN block with GEGLU of VIMA's code."""

FEWEST_ROWS_OF_FLEX = 256
"""Rows of a trajectory below which blocks of 128 x 128 skip too little."""


class Transformer(nn.Module):
    """Blocks and a final norm; what Table 1 to 6 and appendix A.11 count as the model's parameters.

    VIMA's blocks end with a norm of their own, so no other follows them.

    A learned position table belongs to the trunk, as GPT-2's does: with it three of the paper's four counts come
    out, without it the fourth (38M).
    """

    def __init__(
        self,
        *,
        layers: int,
        heads: int,
        width: int,
        dropout: float = 0.0,
        positions: LearnedPositions | None = None,
        block: TrunkBlock = "gpt2",
        initialisation: Initialisation = "gpt2",
    ) -> None:
        """Make and initialise the blocks."""
        super().__init__()
        self.heads, self.width, self.dropout = heads, width, dropout
        self.positions = positions
        kind = Block if block == "gpt2" else VimaBlock
        self.blocks = nn.ModuleList(kind(width, heads, dropout) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width) if block == "gpt2" else nn.Identity()
        initialise(self)
        if initialisation == "mimetic":
            initialise_mimetic(self)

    def forward(
        self,
        prompt: SharedPrompt,
        context: Float[Tensor, "B C D"],
        queries: Float[Tensor, "B Q D"],
        mask: Float[Tensor, "#B #H R S"],
        *,
        context_out: bool,
        chunks: Sequence[Chunk] = (),
    ) -> Float[Tensor, "B R2 D"]:
        """Run all blocks over the rows: the context, then the queries.

        Args:
            prompt: What all rows may read; its own tokens read nothing else.
            context: State and action tokens.
            queries: Action queries of all timesteps; none (Q = 0) when a trajectory is only encoded.
            mask: Additive; rows are context then queries, columns are prompt then context.
            context_out: Whether the context comes out too; without it the last block computes the queries only.
            chunks: Rows that may be computed apart because they do not read all columns; none: all at once.
        """
        rows, layout = _lay_out(prompt, context, queries)
        dropout = self.dropout if self.training else 0.0
        kernel = choose_kernel(layout, prompt, mask, chunks, heads=self.heads, dropout=dropout)
        for layer, block in enumerate(self.blocks):
            last = layer == len(self.blocks) - 1
            wanted = layout.of_prompts if context_out else layout.read
            rows = block(rows, layout.read, kernel, first=wanted if last else 0)
        of_context, of_queries = self.final_norm(rows).split([len(rows) - layout.of_queries, layout.of_queries])
        of_queries = of_queries.unflatten(0, (layout.batch, layout.queries))
        if not context_out:
            return of_queries
        return torch.cat([of_context.unflatten(0, (layout.batch, layout.context)), of_queries], dim=1)

    @torch.no_grad()
    def attention_maps(
        self,
        prompt: SharedPrompt,
        context: Float[Tensor, "B C D"],
        queries: Float[Tensor, "B Q D"],
        mask: Float[Tensor, "#B #H R S"],
    ) -> list[Float[Tensor, "B H R S"]]:
        """Collect every block's attention weights. Source: Figure 8."""
        rows, layout = _lay_out(prompt, context, queries)
        kernel = WeightsKernel(layout, prompt, mask, heads=self.heads)
        for block in self.blocks:
            rows = block(rows, layout.read, kernel)
        return kernel.weights


def _lay_out(prompt: SharedPrompt, context: Tensor, queries: Tensor) -> tuple[Tensor, Rows]:
    """Put all tokens in one matrix: prompts, contexts, queries."""
    (P, L, _), (B, C, _), Q = prompt.tokens.shape, context.shape, queries.shape[1]
    rows = torch.cat([prompt.tokens.flatten(0, 1), context.flatten(0, 1), queries.flatten(0, 1)])
    return rows, Rows(prompts=P, prompt=L, batch=B, context=C, queries=Q)


def choose_kernel(
    rows: Rows,
    prompt: SharedPrompt,
    mask: Float[Tensor, "#B #H R S"],
    chunks: Sequence[Chunk],
    *,
    heads: int,
    dropout: float,
) -> Kernel:
    """Choose the fastest kernel for a shape and a device."""
    if mask.is_cuda and not dropout and rows.context + rows.queries >= FEWEST_ROWS_OF_FLEX:
        from astra.attention.flex import FlexKernel

        return FlexKernel(rows, prompt, mask, heads=heads)
    pack = 1
    if rows.prompts * rows.prompt <= 64:  # beyond, the columns of others' prompts cost more than copies of one's own
        while 2 * pack * (rows.context + rows.queries) <= 32 and rows.batch % (2 * pack) == 0:
            pack *= 2
    if pack > 1:
        return PackedKernel(rows, prompt, mask, pack, heads=heads, dropout=dropout)
    return ChunkedKernel(rows, prompt, mask, chunks, heads=heads, dropout=dropout)


def initialise(transformer: nn.Module) -> None:
    """Initialise as GPT-2 does.

    ============================  ==========================================
    linear weights                normal, 0.02
    weights that end a residual   normal, 0.02 / sqrt(number of residuals)
    position table                normal, 0.02
    biases                        0
    layer norms                   scale 1, shift 0
    ============================  ==========================================

    There are two residuals per block. What is initialised may be any module that holds blocks.
    """
    last: list[nn.Linear] = []
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, Attention | CrossBlock):
            last.append(module.out)
        elif isinstance(module, FeedForward | GatedFeedForward):
            last.append(module.down)
    for layer in last:
        nn.init.normal_(layer.weight, std=0.02 / len(last) ** 0.5)


LIKENESS, COPY = 3.5, 0.35
"""Attention score between two equal tokens, and the share of a token's content that reading it adds, at the start."""


def initialise_mimetic(transformer: nn.Module) -> None:
    """Let attention begin by reading what is like the reader, and by copying it.

    Queries and keys have equal weights, so the score of two tokens is about `LIKENESS` where they are equal; the output
    weights are the transposed value weights, so that what is read is copied, `COPY` of it. A policy has to find the
    object of a picture in the scene, and then its place: both are there from the beginning.

    Source: Trockman and Kolter 2023, Mimetic initialization of self-attention layers, who found the first in trained
    transformers. Deviation: they give the second the other sign.
    """
    for module in transformer.modules():
        if isinstance(module, Attention | CrossBlock):
            D = module.out.in_features
            if isinstance(module, Attention):
                q, k, v = module.qkv.weight.chunk(3)
            else:
                q, (k, v) = module.q.weight, module.keys_values.weight.chunk(2)
            with torch.no_grad():
                q.normal_(std=(LIKENESS / (D * (D / module.heads) ** 0.5)) ** 0.5)
                k.copy_(q)
                v.normal_(std=(COPY / D) ** 0.5)
                module.out.weight.copy_(v.mT)
