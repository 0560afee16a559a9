"""The segment cache: keys and values of what was read before, so that one control step costs one timestep.

Each step feeds [a_{t-1}, s_t | q_t]: the action that was executed, what is seen now, and the queries of the next
action. Queries are never stored, since nobody reads them, so the stored keys are exactly those of a full forward.
With a window W the timesteps lie in a ring of W + 1 (a_{t-1} still reads back to t - W), and a step costs the same
however long the episode is. Every slot of a batch has a timestep of its own and can be reset alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from astra.attention.layers import by_head, cat
from astra.attention.masks import additive, may_attend
from astra.attention.positions import RelativePositions, SegmentSizes
from astra.attention.segments import Kind, TokenIds, concatenate
from astra.attention.transformer import Transformer

FIRST_CAPACITY = 32
"""Timesteps for which a cache without a window has room at first; it doubles when they are full."""


@dataclass
class SegmentCache:
    """What B slots remember: per token its ids, validity and, per layer, its key and value. Written in place."""

    sizes: SegmentSizes
    window: int | None
    capacity: int
    """Timesteps that fit: W + 1 with a window."""
    ids: TokenIds
    valid: Bool[Tensor, "B C"]
    keys: list[Float[Tensor, "B H C d"]]
    values: list[Float[Tensor, "B H C d"]]
    causal_segments: frozenset[Kind] = frozenset()
    """Kinds inside which a token reads only itself and earlier slots."""

    @classmethod
    def empty(
        cls,
        transformer: Transformer,
        sizes: SegmentSizes,
        batch: int,
        window: int | None,
        causal_segments: frozenset[Kind] = frozenset(),
    ) -> "SegmentCache":
        """Make room for `batch` slots that have read nothing yet."""
        capacity = FIRST_CAPACITY if window is None else window + 1
        columns = sizes.prompt + capacity * (sizes.state + sizes.action)
        weight = next(transformer.parameters())
        zeros = torch.zeros((batch, columns), dtype=torch.long, device=weight.device)

        def room() -> list[Tensor]:
            shape = (batch, transformer.heads, columns, transformer.width // transformer.heads)
            return [torch.zeros(shape, dtype=weight.dtype, device=weight.device) for _ in transformer.blocks]

        return cls(
            sizes=sizes,
            window=window,
            capacity=capacity,
            ids=TokenIds(zeros.clone(), zeros.clone(), zeros.clone()),
            valid=torch.zeros_like(zeros, dtype=torch.bool),
            keys=room(),
            values=room(),
            causal_segments=causal_segments,
        )

    def read(
        self,
        transformer: Transformer,
        tokens: Float[Tensor, "B S D"],
        ids: TokenIds,
        valid: Bool[Tensor, "B S"],
        queries: Float[Tensor, "B Q D"] | None = None,
        ids_of_queries: TokenIds | None = None,
        positions: RelativePositions | None = None,
        *,
        context_out: bool = False,
    ) -> Float[Tensor, "B R D"] | None:
        """Take in new context tokens and give the outputs of the queries, as a full forward would.

        With `context_out` the outputs of the new tokens come out too, before those of the queries.
        """
        columns = self.fill(ids, valid)
        batch = torch.arange(len(tokens), device=tokens.device)[:, None]

        row_ids = ids if ids_of_queries is None else concatenate(ids, ids_of_queries)
        used = self._used_columns(int(row_ids.timestep.max()))
        seen = self.ids.select(slice(0, used))
        some, sizes = row_ids, None
        if not self.causal_segments:  # all tokens of a segment read alike, so the mask is made for one of each
            _, sizes = torch.unique_consecutive(row_ids.order[0], return_counts=True)
            some = row_ids.select(sizes.cumsum(0) - 1)
        allowed = may_attend(some, seen, window=self.window, causal_segments=self.causal_segments)
        allowed = allowed & self.valid[:, None, :used]
        mask = additive(allowed, tokens.dtype)[:, None]
        if positions is not None:
            mask = mask + positions.bias(some, seen)
        if sizes is not None:
            parts = [mask[:, :, i : i + 1].expand(-1, -1, size, -1) for i, size in enumerate(sizes.tolist())]
            mask = torch.cat(parts, dim=2)

        rows = tokens.flatten(0, 1)
        num_read = len(rows)
        if queries is not None:
            rows = torch.cat([rows, queries.flatten(0, 1)])
        for layer, block in enumerate(transformer.blocks):
            is_last = layer == len(transformer.blocks) - 1
            kernel = _CacheKernel(self.keys[layer], self.values[layer], batch, columns, mask)
            rows = block(rows, num_read, kernel, first=num_read if is_last and not context_out else 0)
        if not context_out:
            return None if queries is None else transformer.final_norm(rows).unflatten(0, (len(tokens), -1))
        of_tokens, of_queries = transformer.final_norm(rows).split([num_read, len(rows) - num_read])
        parts = [part.unflatten(0, (len(tokens), -1)) for part in (of_tokens, of_queries) if len(part)]
        return cat(parts, 1)

    def fill(self, ids: TokenIds, valid: Bool[Tensor, "B S"] | None = None) -> Int[Tensor, "B S"]:
        """Make room for new context tokens, note their ids, and give the columns of their keys and values."""
        if ids.kind.shape[-1]:
            self._make_room(int(ids.timestep.max()) + 1)
        batch = torch.arange(len(ids.kind), device=ids.kind.device)[:, None]
        columns = self._columns(ids)
        self.ids.kind[batch, columns] = ids.kind
        self.ids.timestep[batch, columns] = ids.timestep
        self.ids.slot[batch, columns] = ids.slot
        self.valid[batch, columns] = True if valid is None else valid
        return columns

    def replace(self, where: Bool[Tensor, " B"], other: "SegmentCache") -> None:
        """Put the slots of another cache, in order, in place of those marked."""
        capacity = max(self.capacity, other.capacity)
        self._make_room(capacity)
        other._make_room(capacity)
        mine = [*vars(self.ids).values(), self.valid, *self.keys, *self.values]
        others = [*vars(other.ids).values(), other.valid, *other.keys, *other.values]
        for tensor, replacement in zip(mine, others, strict=True):
            tensor[where] = replacement

    def _columns(self, ids: TokenIds) -> Int[Tensor, "B S"]:
        per_timestep = self.sizes.state + self.sizes.action
        offset = self.sizes.offset(ids)
        return torch.where(ids.kind == Kind.PROMPT, offset, offset + per_timestep * (ids.timestep % self.capacity))

    def _used_columns(self, last: int) -> int:
        """Count the columns up to the last timestep that any slot has read; with a window all are soon used."""
        timesteps = self.capacity if self.window is not None else last + 1
        return self.sizes.prompt + timesteps * (self.sizes.state + self.sizes.action)

    def _make_room(self, num_timesteps: int) -> None:
        if self.window is not None or num_timesteps <= self.capacity:
            return
        capacity = max(num_timesteps, 2 * self.capacity)
        extra = (capacity - self.capacity) * (self.sizes.state + self.sizes.action)
        widen = F.pad
        self.capacity = capacity
        self.ids = TokenIds(*(widen(tensor, (0, extra)) for tensor in vars(self.ids).values()))
        self.valid = widen(self.valid, (0, extra))
        self.keys = [widen(keys, (0, 0, 0, extra)) for keys in self.keys]
        self.values = [widen(values, (0, 0, 0, extra)) for values in self.values]


@dataclass
class _CacheKernel:
    """Writes the new keys and values of one layer into the cache and reads all of them."""

    keys: Float[Tensor, "B H C d"]
    values: Float[Tensor, "B H C d"]
    batch: Int[Tensor, "B 1"]
    columns: Int[Tensor, "B S"]
    mask: Float[Tensor, "B #H R used"]

    def __call__(self, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        B, H = self.keys.shape[:2]
        keys, values = keys_values.view(B, -1, 2, H, self.keys.shape[-1]).unbind(2)
        self.keys[self.batch, :, self.columns] = keys
        self.values[self.batch, :, self.columns] = values
        if q_read is None and q_queries is None:  # the last block, when nothing is asked
            return keys_values[:0, : keys_values.shape[1] // 2]
        q = cat([part.unflatten(0, (B, -1)) for part in (q_read, q_queries) if part is not None], 1)
        used = self.mask.shape[-1]
        mixed = F.scaled_dot_product_attention(
            by_head(q, H), self.keys[:, :, :used], self.values[:, :, :used], attn_mask=self.mask[:, :, -q.shape[1] :]
        ).transpose(1, 2)
        sizes = [0 if part is None else len(part) // B for part in (q_read, q_queries)]
        return cat([part.flatten(0, 1).flatten(1) for part in mixed.split(sizes, dim=1) if part.shape[1]], 0)
