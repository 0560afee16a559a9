"""Positions of tokens, learned or relative; both count prompt, states and actions only.

    learned     a vector for each place in the sequence                                  LearnedPositions
    relative    a vector for each kind and slot; a bias for each head and age            RelativePositions
    recency     as relative, but each layer has biases of its own, which start at -slope * age

A query has the position of its action token, so queries never shift another token, and the encoded trajectory is the
same with and without them. Slots are counted with the largest sizes of the policy, not with those of the batch, so
padding changes nothing.

Deviation: the paper does not describe positions. `LearnedPositions` gives the parameter counts that it prints;
`RelativePositions` is ours, for windows and for episodes of any length. It starts blind to time: all ages have the
same bias. With `recency` some heads start by looking at the present, others at everything (Press et al. 2022, ALiBi).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.attention.initialization import init_std
from astra.attention.segments import Kind, TokenIds

Positions = Literal["learned", "relative", "recency"]
"""Vectors of places; biases of ages that all layers share; or biases of ages in each layer, with slopes at first."""

SLOPES = (0.5, 2.0, 8.0, 0.0)
"""Slopes of the heads, in turn: what a timestep of age takes from a score at first, in `recency`."""


@dataclass(frozen=True, kw_only=True)
class SegmentSizes:
    """Largest sizes of a policy's segments."""

    prompt: int
    """L_max, prompt tokens."""
    state: int
    """M_max, state tokens per timestep."""
    action: int
    """N, action tokens per timestep."""

    def offset(self, ids: TokenIds) -> Tensor:
        """Return each token's place in p, s, a of one timestep: p from 0, s from L, a and queries from L + M."""
        is_query = ids.kind == Kind.QUERY
        slot = torch.where(is_query, ids.slot % self.action, ids.slot)
        start = torch.where(ids.kind == Kind.STATE, self.prompt, self.prompt + self.state)
        return slot + torch.where(ids.kind == Kind.PROMPT, 0, start)

    def acting_timestep(self, ids: TokenIds) -> Tensor:
        """Return the timestep of each token; for a query, the timestep t + h of its action h of the chunk."""
        return ids.timestep + torch.where(ids.kind == Kind.QUERY, ids.slot // self.action, 0)


class LearnedPositions(nn.Module):
    """Learned vector for each place in the sequence p, s_1, a_1, s_2, a_2, ..., as in GPT-2."""

    def __init__(self, sizes: SegmentSizes, width: int, num_positions: int = 1024) -> None:
        """Build the table; the paper's counts of 19M, 43M and 198M parameters include 1024 places."""
        super().__init__()
        self.sizes = sizes
        self.table = nn.Embedding(num_positions, width)

    def forward(self, ids: TokenIds) -> Float[Tensor, "*B S D"]:
        """Return the vector to add to each token.

        Raises:
            ValueError: if the sequence is longer than the table.
        """
        per_timestep = self.sizes.state + self.sizes.action
        index = self.sizes.offset(ids) + per_timestep * self.sizes.acting_timestep(ids).clamp(min=0)
        # An exported program cannot check values; `ControlStep` checks the longest episode when it is built.
        longest = int(index.max()) + 1 if index.numel() and not torch.compiler.is_exporting() else 0
        if longest > self.table.num_embeddings:
            raise ValueError(
                f"a sequence of {longest} positions is longer than the learned table of {self.table.num_embeddings}; "
                "use fewer timesteps, or positions='relative' or 'recency'"
            )
        return self.table(index)


class RelativePositions(nn.Module):
    """Learned vectors for the kind and slot of a token, and a bias per head for the age of what it attends to."""

    def __init__(
        self, sizes: SegmentSizes, width: int, heads: int, max_age: int = 32, *, layers: int | None = None
    ) -> None:
        """Build the tables; ages of `max_age` timesteps or more share one bias, and the prompt has its own.

        Args:
            sizes: Largest sizes of the segments.
            width: Width of a token.
            heads: Heads of a layer.
            max_age: Age in timesteps from which on biases are equal.
            layers: Layers with biases of their own, which start at -slope * age; None for one set of biases that all
                layers share and that starts at 0.
        """
        super().__init__()
        self.sizes = sizes
        self.max_age = max_age
        self.kinds = nn.Embedding(len(Kind), width)
        self.slots = nn.Embedding(sizes.prompt + sizes.state + sizes.action, width)
        ages = torch.zeros(heads * (layers or 1), max_age + 2)
        if layers is not None:
            slopes = torch.tensor([SLOPES[head % len(SLOPES)] for head in range(heads)]).repeat(layers)
            ages[:, : max_age + 1] = -slopes[:, None] * torch.arange(max_age + 1)
        self.ages = nn.Parameter(ages)
        nn.init.normal_(self.kinds.weight, std=init_std(width))
        nn.init.normal_(self.slots.weight, std=init_std(width))

    def forward(self, ids: TokenIds) -> Float[Tensor, "*B S D"]:
        """Return the vector to add to each token; it does not depend on the timestep."""
        return self.kinds(ids.kind) + self.slots(self.sizes.offset(ids))

    def bias(self, rows: TokenIds, columns: TokenIds) -> Float[Tensor, "*B H R S"]:
        """Return what to add to each attention score, for the heads that all layers share or those of all layers."""
        age = (rows.timestep[..., :, None] - columns.timestep[..., None, :]).clamp(0, self.max_age)
        index = torch.where(columns.kind[..., None, :] == Kind.PROMPT, self.max_age + 1, age)
        return self.ages[:, index].movedim(0, -3)


def relative_positions(
    positions: Positions, sizes: SegmentSizes, *, width: int, heads: int, layers: int
) -> RelativePositions | None:
    """Build relative positions, or return None for learned ones."""
    if positions == "learned":
        return None
    return RelativePositions(sizes, width, heads, layers=layers if positions == "recency" else None)


def by_layer(mask: Float[Tensor, "#B LH R S"], layers: int, heads: int) -> Sequence[Float[Tensor, "#B H R S"]]:
    """Return each layer's part of an additive mask, which holds the heads of one layer, for all, or those of each."""
    return [mask] * layers if mask.shape[1] <= heads else mask.split(heads, dim=1)
