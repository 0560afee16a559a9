"""Segment cache: keys and values of the past, so that a control step computes one timestep only.

Each step computes [a_{t-1}, s_t | q_t]: the executed action, the new state, and the queries of the next action.
Nothing attends to a query, so queries are not stored, and the outputs equal those of a full forward pass. With a window
W the timesteps lie in a ring of W + 1 (a_{t-1} attends back to t - W), and the cost of a step does not grow with the
episode. Each environment of the batch has its own timestep and can be reset alone.

What this assumes of `may_attend` is checked by `astra.attention.step_checks`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from astra.attention import masks
from astra.attention.layers import by_head, cat
from astra.attention.masks import additive
from astra.attention.positions import RelativePositions, SegmentSizes, by_layer
from astra.attention.segments import Kind, TokenIds, concatenate
from astra.attention.step_checks import check_new_tokens
from astra.attention.transformer import Transformer

FIRST_CAPACITY = 32
"""First capacity, in timesteps, of a cache without a window; it doubles when it is full."""


@dataclass
class SegmentCache:
    """Past tokens of B environments: their ids, their validity, and their keys and values per layer.

    All tensors are updated in place.
    """

    sizes: SegmentSizes
    """Sizes of the segments, which decide the column of each token."""
    window: int | None
    """W in timesteps; None for no limit."""
    capacity: int
    """Timesteps that fit: W + 1 with a window."""
    ids: TokenIds
    """Ids of the token in each column."""
    valid: Bool[Tensor, "B columns"]
    """True where a column holds a real token."""
    keys: list[Float[Tensor, "B H columns d"]]
    """Keys, per layer."""
    values: list[Float[Tensor, "B H columns d"]]
    """Values, per layer."""
    causal_segments: frozenset[Kind] = frozenset()
    """Kinds of segments in which a token attends only to itself and to earlier slots."""
    past_actions: bool = True
    """Whether later segments attend to actions."""

    @classmethod
    def empty(
        cls,
        transformer: Transformer,
        sizes: SegmentSizes,
        batch: int,
        window: int | None,
        causal_segments: frozenset[Kind] = frozenset(),
        *,
        past_actions: bool = True,
    ) -> "SegmentCache":
        """Return a cache for `batch` environments without a past."""
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
            past_actions=past_actions,
        )

    def extend(
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
        """Compute new context tokens and queries, and store the keys and values of the new tokens.

        Args:
            transformer: The blocks.
            tokens: New context tokens, with their positions.
            ids: Their ids; the tokens are consecutive in the context.
            valid: Which of them are real.
            queries: Action queries, with their positions.
            ids_of_queries: Their ids.
            positions: Relative positions, if any.
            context_out: Whether to return the outputs of the new tokens, before those of the queries.

        Returns:
            The outputs of a full forward pass, or None if nothing was asked for.

        Raises:
            MaskError: if `may_attend` cannot be computed with a cache.
        """
        rows_are_equal = check_new_tokens(self.sizes, self.window, self.causal_segments, ids, ids_of_queries)
        columns = self.fill(ids, valid)
        batch = torch.arange(len(tokens), device=tokens.device)[:, None]

        row_ids = ids if ids_of_queries is None else concatenate(ids, ids_of_queries)
        used = self._used_columns(int(row_ids.timestep.max()))
        seen = self.ids.select(slice(0, used))
        some, sizes = row_ids, None
        if rows_are_equal:  # compute the mask of one token per segment
            _, sizes = torch.unique_consecutive(row_ids.order[0], return_counts=True)
            some = row_ids.select(sizes.cumsum(0) - 1)
        allowed = masks.may_attend(some, seen, window=self.window, causal_segments=self.causal_segments)
        if not self.past_actions:
            allowed = masks.hide_actions(allowed, some, seen)
        allowed = allowed & self.valid[:, None, :used]
        mask = additive(allowed, tokens.dtype)[:, None]
        if positions is not None:
            mask = mask + positions.bias(some, seen)
        if sizes is not None:
            parts = [mask[:, :, i : i + 1].expand(-1, -1, size, -1) for i, size in enumerate(sizes.tolist())]
            mask = torch.cat(parts, dim=2)

        rows = tokens.flatten(0, 1)
        num_keyed = len(rows)
        if queries is not None:
            rows = torch.cat([rows, queries.flatten(0, 1)])
        own_masks = by_layer(mask, len(transformer.blocks), transformer.heads)
        for layer, (block, own) in enumerate(zip(transformer.blocks, own_masks, strict=True)):
            is_last = layer == len(transformer.blocks) - 1
            kernel = _CacheKernel(self.keys[layer], self.values[layer], batch, columns, own)
            rows = block(rows, num_keyed, kernel, first=num_keyed if is_last and not context_out else 0)
        if not context_out:
            return None if queries is None else transformer.final_norm(rows).unflatten(0, (len(tokens), -1))
        of_tokens, of_queries = transformer.final_norm(rows).split([num_keyed, len(rows) - num_keyed])
        parts = [part.unflatten(0, (len(tokens), -1)) for part in (of_tokens, of_queries) if len(part)]
        return cat(parts, 1)

    def fill(self, ids: TokenIds, valid: Bool[Tensor, "B S"] | None = None) -> Int[Tensor, "B S"]:
        """Store the ids of new context tokens, and return the columns of their keys and values."""
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
        """Replace the marked environments by those of another cache, in order."""
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
        """Number of columns up to the last timestep of any environment; with a window all are soon used."""
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
    """Attention of one layer to all keys and values of the cache, after the new ones are written into it."""

    keys: Float[Tensor, "B H columns d"]
    values: Float[Tensor, "B H columns d"]
    batch: Int[Tensor, "B 1"]
    columns: Int[Tensor, "B S"]
    mask: Float[Tensor, "B #H R used"]

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor, /) -> Tensor:
        B, H = self.keys.shape[:2]
        keys, values = keys_values.view(B, -1, 2, H, self.keys.shape[-1]).unbind(2)
        self.keys[self.batch, :, self.columns] = keys
        self.values[self.batch, :, self.columns] = values
        if q_keyed is None and q_queries is None:  # the last block, if no outputs are needed
            return keys_values[:0, : keys_values.shape[1] // 2]
        q = cat([part.unflatten(0, (B, -1)) for part in (q_keyed, q_queries) if part is not None], 1)
        used = self.mask.shape[-1]
        mixed = F.scaled_dot_product_attention(
            by_head(q, H), self.keys[:, :, :used], self.values[:, :, :used], attn_mask=self.mask[:, :, -q.shape[1] :]
        ).transpose(1, 2)
        sizes = [0 if part is None else len(part) // B for part in (q_keyed, q_queries)]
        return cat([part.flatten(0, 1).flatten(1) for part in mixed.split(sizes, dim=1) if part.shape[1]], 0)
