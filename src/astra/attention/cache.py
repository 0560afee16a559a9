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

from astra.attention.layers import Attention, Block, Remember
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

    @classmethod
    def empty(cls, transformer: Transformer, sizes: SegmentSizes, batch: int, window: int | None) -> "SegmentCache":
        """Make room for `batch` slots that have read nothing yet."""
        capacity = FIRST_CAPACITY if window is None else window + 1
        columns = sizes.prompt + capacity * (sizes.state + sizes.action)
        weight = transformer.final_norm.weight
        attentions = [block.attention for block in transformer.blocks if isinstance(block, Block)]
        zeros = torch.zeros((batch, columns), dtype=torch.long, device=weight.device)

        def room(attention: Attention) -> Tensor:
            shape = (batch, attention.heads, columns, weight.shape[0] // attention.heads)
            return torch.zeros(shape, dtype=weight.dtype, device=weight.device)

        return cls(
            sizes=sizes,
            window=window,
            capacity=capacity,
            ids=TokenIds(zeros.clone(), zeros.clone(), zeros.clone()),
            valid=torch.zeros_like(zeros, dtype=torch.bool),
            keys=[room(attention) for attention in attentions],
            values=[room(attention) for attention in attentions],
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
    ) -> Float[Tensor, "B Q D"] | None:
        """Take in new context tokens and give the outputs of the queries, as a full forward would."""
        self._make_room(int(ids.timestep.max()) + 1)
        batch = torch.arange(len(tokens), device=tokens.device)[:, None]
        columns = self._columns(ids)
        self.ids.kind[batch, columns] = ids.kind
        self.ids.timestep[batch, columns] = ids.timestep
        self.ids.slot[batch, columns] = ids.slot
        self.valid[batch, columns] = valid

        rows, row_ids = tokens, ids
        if queries is not None and ids_of_queries is not None:
            rows, row_ids = torch.cat([tokens, queries], dim=1), concatenate(ids, ids_of_queries)
        allowed = may_attend(row_ids, self.ids, window=self.window) & self.valid[:, None, :]
        mask = additive(allowed, tokens.dtype)[:, None]
        if positions is not None:
            mask = mask + positions.bias(row_ids, self.ids)

        num_context = tokens.shape[1]
        for layer, block in enumerate(transformer.blocks):
            last = layer == len(transformer.blocks) - 1
            context_reads = queries is None or not last
            block_mask = mask if context_reads else mask[:, :, num_context:]
            remember = self._remember(layer, batch, columns)
            rows = block(rows, num_context, block_mask, context_reads=context_reads, remember=remember)
        return None if queries is None else transformer.final_norm(rows)

    def replace(self, slots: Bool[Tensor, " B"], other: "SegmentCache") -> None:
        """Put the slots of another cache, in order, in place of those marked."""
        capacity = max(self.capacity, other.capacity)
        self._make_room(capacity)
        other._make_room(capacity)
        mine = [*vars(self.ids).values(), self.valid, *self.keys, *self.values]
        others = [*vars(other.ids).values(), other.valid, *other.keys, *other.values]
        for tensor, replacement in zip(mine, others, strict=True):
            tensor[slots] = replacement

    def _columns(self, ids: TokenIds) -> Int[Tensor, "B S"]:
        per_timestep = self.sizes.state + self.sizes.action
        offset = self.sizes.offset(ids)
        return torch.where(ids.kind == Kind.PROMPT, offset, offset + per_timestep * (ids.timestep % self.capacity))

    def _remember(self, layer: int, batch: Int[Tensor, "B 1"], columns: Int[Tensor, "B S"]) -> Remember:
        def remember(keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            self.keys[layer][batch, :, columns] = keys.transpose(1, 2)
            self.values[layer][batch, :, columns] = values.transpose(1, 2)
            return self.keys[layer], self.values[layer]

        return remember

    def _make_room(self, num_timesteps: int) -> None:
        if self.window is not None or num_timesteps <= self.capacity:
            return
        capacity = max(num_timesteps, 2 * self.capacity)
        extra = (capacity - self.capacity) * (self.sizes.state + self.sizes.action)
        widen = torch.nn.functional.pad
        self.capacity = capacity
        self.ids = TokenIds(*(widen(tensor, (0, extra)) for tensor in vars(self.ids).values()))
        self.valid = widen(self.valid, (0, extra))
        self.keys = [widen(keys, (0, 0, 0, extra)) for keys in self.keys]
        self.values = [widen(values, (0, 0, 0, extra)) for values in self.values]
