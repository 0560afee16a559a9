"""The transformer in its fast form: blocks over a prompt, a context and its action queries."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.attention.initialization import initialize
from astra.attention.kernels.layout import Rows, SharedPrompt
from astra.attention.kernels.packed import PackedKernel
from astra.attention.kernels.row_blocks import RowBlock, RowBlockKernel, WeightsKernel
from astra.attention.layers import Block, Kernel
from astra.attention.positions import LearnedPositions, by_layer
from astra.attention.vima_block import VimaBlock

__all__ = ["SharedPrompt", "Transformer", "TrunkBlock"]

TrunkBlock = Literal["gpt2", "vima"]
"""GPT-2's block, as in Astra, or the post-LN block with GEGLU of VIMA's code."""

AnyKernel = TypeVar("AnyKernel", bound=Kernel)

FEWEST_ROWS_OF_FLEX = 256
"""Rows of a trajectory below which FlexAttention is slower: its blocks of 128 x 128 skip too little."""


class Transformer(nn.Module):
    """Blocks and a final norm: the parameters that Tables 1 to 6 and appendix A.11 count.

    VIMA's blocks end with a norm of their own, so no final norm follows them. A learned position table belongs to the
    transformer, as in GPT-2: with it three of the paper's four counts are exact, without it the fourth (38M).

    The same computation in its plain form is `astra.attention.reference.DenseTransformer`.
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
    ) -> None:
        """Build and initialize the blocks."""
        super().__init__()
        self.heads, self.width, self.dropout = heads, width, dropout
        self.positions = positions
        kind = Block if block == "gpt2" else VimaBlock
        self.blocks = nn.ModuleList(kind(width, heads, dropout) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width) if block == "gpt2" else nn.Identity()
        initialize(self, width)

    def forward(
        self,
        prompt: SharedPrompt,
        context: Float[Tensor, "B context D"],
        queries: Float[Tensor, "B Q D"],
        mask: Float[Tensor, "#B #H R S"],
        *,
        context_out: bool,
        row_blocks: Sequence[RowBlock] = (),
    ) -> Float[Tensor, "B R2 D"]:
        """Return the outputs of all blocks: context rows (if requested), then query rows.

        Args:
            prompt: Prompts, with their positions and their own mask.
            context: State and action tokens, with their positions.
            queries: Action queries of all timesteps, with their positions; none (Q = 0) to encode only.
            mask: Additive mask of `split_mask`; rows are context then queries, columns are prompt then context. Its
                heads are those of one layer, for all layers, or those of all layers; likewise in the prompts' mask.
            context_out: Whether to return the context too; if not, the last block computes the queries only.
            row_blocks: Row blocks of the mask; empty to compute all rows in one call.
        """
        rows, layout = _lay_out(prompt, context, queries)
        dropout = self.dropout if self.training else 0.0
        kernels = self._kernels(
            prompt,
            mask,
            lambda own, part: choose_kernel(layout, own, part, row_blocks, heads=self.heads, dropout=dropout),
        )
        for layer, (block, kernel) in enumerate(zip(self.blocks, kernels, strict=True)):
            last = layer == len(self.blocks) - 1
            wanted = layout.of_prompts if context_out else layout.keyed
            rows = block(rows, layout.keyed, kernel, first=wanted if last else 0)
        of_context, of_queries = self.final_norm(rows).split([len(rows) - layout.of_queries, layout.of_queries])
        of_queries = of_queries.unflatten(0, (layout.batch, layout.queries))
        if not context_out:
            return of_queries
        return torch.cat([of_context.unflatten(0, (layout.batch, layout.context)), of_queries], dim=1)

    @torch.no_grad()
    def attention_maps(
        self,
        prompt: SharedPrompt,
        context: Float[Tensor, "B context D"],
        queries: Float[Tensor, "B Q D"],
        mask: Float[Tensor, "#B LH R S"],
    ) -> list[Float[Tensor, "B H R S"]]:
        """Return the attention weights of every block. Source: Figure 8."""
        rows, layout = _lay_out(prompt, context, queries)
        kernels = self._kernels(prompt, mask, lambda own, part: WeightsKernel(layout, own, part, heads=self.heads))
        for block, kernel in zip(self.blocks, kernels, strict=True):
            rows = block(rows, layout.keyed, kernel)
        return [weights for kernel in dict.fromkeys(kernels) for weights in kernel.weights]

    def _kernels(
        self,
        prompt: SharedPrompt,
        mask: Float[Tensor, "#B #H R S"],
        make: Callable[[SharedPrompt, Tensor], AnyKernel],
    ) -> list[AnyKernel]:
        """Return the kernel of each layer: one for all, unless the masks hold the heads of all layers."""
        layers, heads = len(self.blocks), self.heads
        if max(mask.shape[1], prompt.mask.shape[1]) <= heads:
            return [make(prompt, mask)] * layers
        parts = zip(by_layer(prompt.mask, layers, heads), by_layer(mask, layers, heads), strict=True)
        return [make(replace(prompt, mask=inside), part) for inside, part in parts]


def _lay_out(prompt: SharedPrompt, context: Tensor, queries: Tensor) -> tuple[Tensor, Rows]:
    """Join all tokens into one matrix: prompts, contexts, queries."""
    (P, L, _), (B, num_context, _) = prompt.tokens.shape, context.shape
    rows = torch.cat([prompt.tokens.flatten(0, 1), context.flatten(0, 1), queries.flatten(0, 1)])
    return rows, Rows(prompts=P, prompt=L, batch=B, context=num_context, queries=queries.shape[1])


def choose_kernel(
    rows: Rows,
    prompt: SharedPrompt,
    mask: Float[Tensor, "#B #H R S"],
    row_blocks: Sequence[RowBlock],
    *,
    heads: int,
    dropout: float,
) -> Kernel:
    """Return the fastest kernel for a shape and a device."""
    if mask.is_cuda and not dropout and rows.context + rows.queries >= FEWEST_ROWS_OF_FLEX:
        from astra.attention.kernels.flex import FlexKernel

        return FlexKernel(rows, prompt, mask, heads=heads)
    pack = 1
    if rows.prompts * rows.prompt <= 64:  # with more, the columns of other prompts cost more than copies
        while 2 * pack * (rows.context + rows.queries) <= 32 and rows.batch % (2 * pack) == 0:
            pack *= 2
    if pack > 1:
        return PackedKernel(rows, prompt, mask, pack, heads=heads, dropout=dropout)
    return RowBlockKernel(rows, prompt, mask, row_blocks, heads=heads, dropout=dropout)
