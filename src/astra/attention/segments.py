"""Segments: the kind, timestep and slot of each token, and the order of segments in one sequence.

    p p p p | s s | q q q | a a a | s s | q q q | a a a | ...
    prompt    s_1    q_1     a_1    s_2    q_2     a_2

The *context* is the states and actions after the prompt. Nothing attends to a query, so fast paths keep queries apart
from the context. Timesteps count from 0 here; the paper counts from 1.

Source: sections 3.1 and 3.2, Figure 2.
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


class Kind(IntEnum):
    """Kind of segment that a token belongs to."""

    PROMPT = 0
    STATE = 1
    QUERY = 2
    ACTION = 3


@dataclass(frozen=True)
class TokenIds:
    """Places of tokens in a sequence, with or without a batch dimension."""

    kind: Int[Tensor, "*B S"]
    """A `Kind` as a number."""
    timestep: Int[Tensor, "*B S"]
    """Timestep from 0; -1 for the prompt."""
    slot: Int[Tensor, "*B S"]
    """Place inside the segment, from 0; the query of action h of the chunk and dimension n has slot h N + n."""

    @property
    def order(self) -> Int[Tensor, "*B S"]:
        """Number of each token's segment in the sequence: prompt 0, s_t 3t+1, q_t 3t+2, a_t 3t+3."""
        return torch.where(self.kind == Kind.PROMPT, 0, 3 * self.timestep + self.kind)

    def select(self, index: Shaped[Tensor, "*B2 S2"] | slice) -> "TokenIds":
        """Return the ids of some tokens: by numbers, for all trajectories or each, by a boolean mask, or by a slice."""
        return TokenIds(self.kind[..., index], self.timestep[..., index], self.slot[..., index])

    def to(self, device: torch.device) -> "TokenIds":
        """Return the ids on a device."""
        return TokenIds(self.kind.to(device), self.timestep.to(device), self.slot.to(device))


def concatenate(*parts: TokenIds) -> TokenIds:
    """Join sequences end to end."""
    return TokenIds(
        torch.cat([part.kind for part in parts], dim=-1),
        torch.cat([part.timestep for part in parts], dim=-1),
        torch.cat([part.slot for part in parts], dim=-1),
    )


def segment_ids(kind: Kind, size: int, timestep: int = -1) -> TokenIds:
    """Return the ids of one segment."""
    return TokenIds(torch.full((size,), kind), torch.full((size,), timestep), torch.arange(size))


def context_ids(L: int, M: int, N: int, T: int) -> TokenIds:
    """Return the ids of a prompt and its context: p, s_1, a_1, ..., s_T, a_T."""
    parts = [segment_ids(Kind.PROMPT, L)]
    for timestep in range(T):
        parts += [segment_ids(Kind.STATE, M, timestep), segment_ids(Kind.ACTION, N, timestep)]
    return concatenate(*parts)


def query_ids(num_queries: int, T: int) -> TokenIds:
    """Return the ids of the action queries of T timesteps: q_1, ..., q_T."""
    return concatenate(*(segment_ids(Kind.QUERY, num_queries, timestep) for timestep in range(T)))


def sequence_ids(L: int, M: int, N: int, T: int, num_queries: int) -> TokenIds:
    """Return the ids of the whole sequence with its queries: p, s_1, q_1, a_1, ..., s_T, q_T, a_T."""
    parts = [segment_ids(Kind.PROMPT, L)]
    for timestep in range(T):
        parts += [
            segment_ids(Kind.STATE, M, timestep),
            segment_ids(Kind.QUERY, num_queries, timestep),
            segment_ids(Kind.ACTION, N, timestep),
        ]
    return concatenate(*parts)


def interleave(*segments: Shaped[Tensor, "B T _ *D"]) -> Shaped[Tensor, "B S *D"]:
    """Join segments into one sequence, timestep by timestep, in the order given.

    `interleave(s, a)` makes a context, `interleave(s, q, a)` the whole sequence after the prompt.
    """
    return torch.cat(segments, dim=2).flatten(1, 2)


def split(sequence: Shaped[Tensor, "B S *D"], *sizes: int) -> tuple[Shaped[Tensor, "B T _ *D"], ...]:
    """Undo `interleave`: return each kind of segment as (B, T, size, ...)."""
    return sequence.unflatten(1, (-1, sum(sizes))).split(sizes, dim=2)
