"""Row blocks: rows of early timesteps attend to no late column, so their scores need not be computed there.

The rows of a long trajectory are cut into blocks of timesteps; each block is one call of PyTorch's fused attention over
the columns up to the last one that the mask allows. This is exact for every mask.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from astra.attention import masks
from astra.attention.kernels.layout import Parts, Rows, SharedPrompt
from astra.attention.layers import attend, by_head, cat, keys_and_values
from astra.attention.segments import Kind

FEWEST_COLUMNS = 135
"""Columns below which one more block saves less than its call costs; measured by `astra benchmark training`."""


@dataclass(frozen=True)
class RowBlock:
    """Rows of some timesteps, which are computed together."""

    context: slice
    """Rows of the context."""
    queries: slice
    """Rows of the queries."""
    columns: int
    """Number of columns, prompt first, up to the last one that these rows attend to."""


def row_blocks_of(
    L: int,
    M: int,
    N: int,
    T: int,
    num_queries: int,
    *,
    actions: int,
    window: int | None = None,
    causal_segments: frozenset[Kind] = frozenset(),
    past_actions: bool = True,
    asked: int | None = None,
) -> tuple[RowBlock, ...]:
    """Return the row blocks of `split_mask`, computed once per shape: none for short trajectories.

    Args:
        L: Prompt tokens.
        M: State tokens per timestep.
        N: Action tokens per timestep.
        T: Timesteps.
        num_queries: Queries per timestep.
        actions: Timesteps whose action is in the context: T, T - 1 or 0.
        window: W in timesteps, as in `may_attend`.
        causal_segments: As in `may_attend`.
        past_actions: As in `split_mask`.
        asked: Queries per timestep that are computed, if not all; None: all.
    """
    asked = num_queries if asked is None else asked
    shape = (L, M, N, T, num_queries)
    return _row_blocks_of(masks.may_attend, shape, actions, window, causal_segments, past_actions, asked)


@lru_cache(maxsize=64)
def _row_blocks_of(
    rule: Callable[..., Tensor],
    shape: tuple[int, int, int, int, int],
    actions: int,
    window: int | None,
    causal_segments: frozenset[Kind],
    past_actions: bool,
    asked: int,
) -> tuple[RowBlock, ...]:
    del rule  # part of the key: the mask is made by it
    L, M, N, T, num_queries = shape
    _, columns, allowed = masks.split_mask(
        *shape, window=window, actions=actions, causal_segments=causal_segments, past_actions=past_actions
    )
    num_context = len(columns.kind) - L
    of_context, of_queries = allowed.split([num_context, T * num_queries])
    return cut_rows(of_context, of_queries, T, M + (N if actions else 0), asked=asked)


def cut_rows(
    of_context: Bool[Tensor, "C S"], of_queries: Bool[Tensor, "Q S"], T: int, per_timestep: int, *, asked: int
) -> tuple[RowBlock, ...]:
    """Cut the rows of a mask into up to six blocks of timesteps; none where that saves nothing.

    Args:
        of_context: Mask of the context's rows.
        of_queries: Mask of all queries' rows.
        T: Timesteps.
        per_timestep: Tokens of a timestep in the context; the last timestep may have fewer.
        asked: Queries per timestep that are computed.
    """
    num_context = len(of_context)
    number = min(6, T, num_context // FEWEST_COLUMNS)
    if number < 2:
        return ()
    num_queries = len(of_queries) // T
    ends = [round(T * block / number) for block in range(number + 1)]
    blocks = []
    for first, end in pairwise(ends):
        context = slice(first * per_timestep, min(end * per_timestep, num_context))
        allowed = torch.cat([of_context[context], of_queries[first * num_queries : end * num_queries]])
        columns = int(allowed.any(dim=0).nonzero().max()) + 1
        blocks.append(RowBlock(context=context, queries=slice(first * asked, end * asked), columns=columns))
    return tuple(blocks)


class RowBlockKernel:
    """PyTorch's fused attention, with one call per row block."""

    def __init__(
        self,
        rows: Rows,
        prompt: SharedPrompt,
        mask: Float[Tensor, "#B #H R S"],
        row_blocks: Sequence[RowBlock],
        *,
        heads: int,
        dropout: float,
    ) -> None:
        """Cut the mask once for all layers; without row blocks all rows are one block."""
        self.rows, self.prompt, self.heads, self.dropout = rows, prompt, heads, dropout
        self.row_blocks = row_blocks or [
            RowBlock(slice(0, rows.context), slice(0, rows.queries), rows.prompt + rows.context)
        ]
        of_context, of_queries = mask.split([rows.context, rows.queries], dim=2)
        parts = [
            (of_context[:, :, block.context, : block.columns], of_queries[:, :, block.queries, : block.columns])
            for block in self.row_blocks
        ]
        self.query_masks = [queries for _, queries in parts]
        self.masks = [torch.cat(both, dim=2) for both in parts] if row_blocks else [mask]

    def attend(self, q: Tensor, keys_values: Tensor, mask: Tensor) -> Tensor:
        """Compute the attention of one row block."""
        return attend(q, keys_values, mask, heads=self.heads, dropout=self.dropout)

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor, /) -> Tensor:
        """Compute attention block by block."""
        parts = Parts.cut(self.rows, q_keyed, q_queries, keys_values)
        outputs = []
        if parts.q_prompt is not None:
            of_prompt = RowBlockKernel.attend(self, parts.q_prompt, parts.prompt, self.prompt.mask)
            outputs.append(of_prompt.flatten(0, 1))
        columns = parts.columns(self.prompt.of)
        of_context, of_queries = [], []
        for block, mask, query_mask in zip(self.row_blocks, self.masks, self.query_masks, strict=True):
            q = [] if parts.q_context is None else [parts.q_context[:, block.context]]
            q += [] if parts.q_queries is None else [parts.q_queries[:, block.queries]]
            mask = query_mask if parts.q_context is None else mask
            mixed = self.attend(cat(q, 1), columns[:, : block.columns], mask)
            num_context = 0 if parts.q_context is None else q[0].shape[1]
            context, queries = mixed.split([num_context, mixed.shape[1] - num_context], dim=1)
            of_context.append(context)
            of_queries.append(queries)
        if parts.q_context is not None:
            outputs.append(cat(of_context, 1).flatten(0, 1))
        if parts.q_queries is not None:
            outputs.append(cat(of_queries, 1).flatten(0, 1))
        return cat(outputs, 0)


class WeightsKernel:
    """Attention that keeps its weights, to draw them."""

    def __init__(self, rows: Rows, prompt: SharedPrompt, mask: Float[Tensor, "#B #H R S"], *, heads: int) -> None:
        """Begin without weights; each layer adds its own."""
        self.mask, self.rows, self.prompt, self.heads = mask, rows, prompt, heads
        self.whole = RowBlockKernel(rows, prompt, mask, (), heads=heads, dropout=0.0)
        self.weights: list[Float[Tensor, "B H R S"]] = []

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor, /) -> Tensor:
        """Compute attention as `RowBlockKernel` does, and keep the weights."""
        parts = Parts.cut(self.rows, q_keyed, q_queries, keys_values)
        keys, _ = keys_and_values(parts.columns(self.prompt.of), self.heads)
        q = by_head(
            torch.cat([part for part in (parts.q_context, parts.q_queries) if part is not None], dim=1), self.heads
        )
        self.weights.append(torch.softmax(q @ keys.mT / q.shape[-1] ** 0.5 + self.mask, dim=-1))
        return self.whole(q_keyed, q_queries, keys_values)
