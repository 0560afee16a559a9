"""Ways of computing the same attention over a batch: in chunks of timesteps, or in packs of short trajectories.

Both are exact; which is chosen follows from the shape. Rows of a batch lie in one matrix:

    prompt 1, ..., prompt P | context 1, ..., context B | queries 1, ..., queries B
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from astra.attention.layers import attend, by_head, cat, keys_and_values

HUGELY_NEGATIVE = torch.finfo(torch.float32).min / 8
"""Score of what belongs to another trajectory; finite, as in `additive`."""


@dataclass(frozen=True)
class SharedPrompt:
    """The distinct prompts of a batch. A prompt reads nothing but itself, so each is encoded once."""

    tokens: Float[Tensor, "P L D"]
    mask: Float[Tensor, "#P #H L L"]
    """Additive."""
    of: Int[Tensor, " B"] | None
    """Which prompt belongs to each trajectory of the batch; None: one each, in order."""


@dataclass(frozen=True)
class RowBlock:
    """Rows that read no further than some column, and are computed together."""

    context: slice
    queries: slice
    columns: int
    """Columns of prompt and context that these rows may read at most."""


@dataclass(frozen=True)
class Rows:
    """How the rows of a batch are laid out."""

    prompts: int
    prompt: int
    """Tokens of one prompt, L."""
    batch: int
    context: int
    """Tokens of one context, C."""
    queries: int
    """Queries of one trajectory, Q."""

    @property
    def of_prompts(self) -> int:
        """Count the rows of all prompts."""
        return self.prompts * self.prompt

    @property
    def read(self) -> int:
        """Count the rows that are read."""
        return self.of_prompts + self.batch * self.context

    @property
    def of_queries(self) -> int:
        """Count the rows of all queries."""
        return self.batch * self.queries


@dataclass(frozen=True)
class _Parts:
    """Q, keys and values of one layer, cut by what the rows are."""

    q_prompt: Float[Tensor, "P L D"] | None
    q_context: Float[Tensor, "B C D"] | None
    q_queries: Float[Tensor, "B Q D"] | None
    prompt: Float[Tensor, "P L D2"]
    """Keys and values."""
    context: Float[Tensor, "B C D2"]
    """Keys and values."""

    @classmethod
    def cut(cls, rows: Rows, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> "_Parts":
        prompt, context = keys_values.split([rows.of_prompts, rows.batch * rows.context])
        q_prompt, q_context = None, q_read
        if q_read is not None and len(q_read) == rows.read:
            q_prompt, q_context = q_read.split([rows.of_prompts, rows.batch * rows.context])
        return cls(
            q_prompt=None if q_prompt is None else q_prompt.unflatten(0, (rows.prompts, rows.prompt)),
            q_context=None if q_context is None else q_context.unflatten(0, (rows.batch, rows.context)),
            q_queries=None if q_queries is None else q_queries.unflatten(0, (rows.batch, rows.queries)),
            prompt=prompt.unflatten(0, (rows.prompts, rows.prompt)),
            context=context.unflatten(0, (rows.batch, rows.context)),
        )


class RowBlockKernel:
    """PyTorch's fused attention: one call per chunk of timesteps, over the columns that the chunk may read."""

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
        """Cut the mask once for all layers."""
        self.rows, self.prompt, self.heads, self.dropout = rows, prompt, heads, dropout
        self.row_blocks = row_blocks or [
            RowBlock(slice(0, rows.context), slice(0, rows.queries), rows.prompt + rows.context)
        ]
        of_context, of_queries = mask.split([rows.context, rows.queries], dim=2)
        cut = [
            (
                of_context[:, :, row_block.context, : row_block.columns],
                of_queries[:, :, row_block.queries, : row_block.columns],
            )
            for row_block in self.row_blocks
        ]
        self.query_masks = [queries for _, queries in cut]
        self.masks = [torch.cat(both, dim=2) for both in cut] if row_blocks else [mask]

    def read(self, q: Tensor, keys_values: Tensor, mask: Tensor) -> Tensor:
        """Attend in one call."""
        return attend(q, keys_values, mask, heads=self.heads, dropout=self.dropout)

    def __call__(self, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        """Attend chunk by chunk."""
        parts = _Parts.cut(self.rows, q_read, q_queries, keys_values)
        outputs = []
        if parts.q_prompt is not None:
            of_prompt = RowBlockKernel.read(self, parts.q_prompt, parts.prompt, self.prompt.mask)
            outputs.append(of_prompt.flatten(0, 1))
        of = self.prompt.of
        everything = torch.cat([parts.prompt if of is None else parts.prompt[of], parts.context], dim=1)
        of_context, of_queries = [], []
        for row_block, mask, query_mask in zip(self.row_blocks, self.masks, self.query_masks, strict=True):
            q = [] if parts.q_context is None else [parts.q_context[:, row_block.context]]
            q += [] if parts.q_queries is None else [parts.q_queries[:, row_block.queries]]
            mask = query_mask if parts.q_context is None else mask
            mixed = self.read(cat(q, 1), everything[:, : row_block.columns], mask)
            num_context = 0 if parts.q_context is None else q[0].shape[1]
            context, queries = mixed.split([num_context, mixed.shape[1] - num_context], dim=1)
            of_context.append(context)
            of_queries.append(queries)
        if parts.q_context is not None:
            outputs.append(cat(of_context, 1).flatten(0, 1))
        if parts.q_queries is not None:
            outputs.append(cat(of_queries, 1).flatten(0, 1))
        return cat(outputs, 0)


class PackedKernel:
    """Several short trajectories side by side in one attention, where few prompts are shared by many of them.

    A batch of G trajectories reads the columns of all prompts and of its G contexts; those of others are masked. Many
    tiny products become few larger ones, and prompts are copied once per G trajectories.
    """

    def __init__(
        self,
        rows: Rows,
        prompt: SharedPrompt,
        mask: Float[Tensor, "#B #H R S"],
        pack: int,
        *,
        heads: int,
        dropout: float,
    ) -> None:
        """Spread the mask over the columns of all prompts and of `pack` contexts, once for all layers."""
        self.rows, self.prompt, self.heads, self.dropout = rows, prompt, heads, dropout
        self.packs = packs = rows.batch // pack
        device, P = mask.device, rows.prompts
        of = torch.arange(rows.batch, device=device) if prompt.of is None else prompt.of
        own_prompt = of.view(packs, 1, pack, 1, 1, 1) == torch.arange(P, device=device)[:, None]
        own_context = torch.eye(pack, dtype=torch.bool, device=device).view(1, 1, pack, 1, pack, 1)
        # packs, heads, trajectory, row, prompt or trajectory, column
        mask = mask.unflatten(0, (-1, pack if len(mask) > 1 else 1)).transpose(1, 2)[..., None, :]
        of_prompt, of_context = mask.split([rows.prompt, rows.context], dim=-1)
        parts = [
            torch.where(own_prompt, of_prompt, HUGELY_NEGATIVE).flatten(-2),
            torch.where(own_context, of_context, HUGELY_NEGATIVE).flatten(-2),
        ]
        whole = [part.expand(packs, part.shape[1], pack, *part.shape[3:]) for part in parts]
        mask = torch.cat(whole, dim=-1)
        self.mask, self.query_mask = mask.flatten(2, 3), mask[:, :, :, rows.context :].flatten(2, 3)

    def __call__(self, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        """Attend pack by pack."""
        rows, packs = self.rows, self.packs
        parts = _Parts.cut(rows, q_read, q_queries, keys_values)
        attend_to = partial(attend, heads=self.heads, dropout=self.dropout)
        outputs = []
        if parts.q_prompt is not None:
            outputs.append(attend_to(parts.q_prompt, parts.prompt, self.prompt.mask).flatten(0, 1))
        q = cat([part for part in (parts.q_context, parts.q_queries) if part is not None], 1)
        num_rows = q.shape[1]
        prompts = parts.prompt.flatten(0, 1).expand(packs, -1, -1)
        columns = torch.cat([prompts, parts.context.reshape(packs, -1, prompts.shape[-1])], dim=1)
        mask = self.query_mask if parts.q_context is None else self.mask
        mixed = attend_to(q.reshape(packs, -1, q.shape[-1]), columns, mask)
        num_context = 0 if parts.q_context is None else rows.context
        mixed = mixed.view(rows.batch, num_rows, -1)
        outputs += [part.flatten(0, 1) for part in mixed.split([num_context, num_rows - num_context], dim=1)]
        return cat(outputs, 0)


class WeightsKernel:
    """Attention whose weights are kept to be looked at."""

    def __init__(self, rows: Rows, prompt: SharedPrompt, mask: Float[Tensor, "#B #H R S"], *, heads: int) -> None:
        """Begin with no layer seen."""
        self.mask, self.rows, self.prompt, self.heads = mask, rows, prompt, heads
        self.whole = RowBlockKernel(rows, prompt, mask, (), heads=heads, dropout=0.0)
        self.weights: list[Float[Tensor, "B H R S"]] = []

    def __call__(self, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        """Attend as `RowBlockKernel` does, and keep the weights."""
        parts = _Parts.cut(self.rows, q_read, q_queries, keys_values)
        of = self.prompt.of
        everything = torch.cat([parts.prompt if of is None else parts.prompt[of], parts.context], dim=1)
        keys, _ = keys_and_values(everything, self.heads)
        q = by_head(
            torch.cat([part for part in (parts.q_context, parts.q_queries) if part is not None], dim=1), self.heads
        )
        self.weights.append(torch.softmax(q @ keys.mT / q.shape[-1] ** 0.5 + self.mask, dim=-1))
        return self.whole(q_read, q_queries, keys_values)
