"""Segments: which kind, timestep and slot each token has, and how segments are laid in one sequence.

    p p p p | s s | q q q | a a a | s s | q q q | a a a | ...
    prompt    s_1    q_1     a_1    s_2    q_2     a_2

The *context* is what queries read: states and actions, after the prompt. Queries are kept apart wherever speed
matters, because no token ever reads one. Timesteps count from 0 here; the paper counts from 1.

Source: sections 3.1 and 3.2, Figure 2.
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


class Kind(IntEnum):
    """What a token is part of."""

    PROMPT = 0
    STATE = 1
    QUERY = 2
    ACTION = 3


@dataclass(frozen=True)
class TokenIds:
    """Where each token of a sequence stands; with or without a batch dimension."""

    kind: Int[Tensor, "*B S"]
    """A `Kind` as a number."""
    timestep: Int[Tensor, "*B S"]
    """Timestep from 0; -1 for the prompt."""
    slot: Int[Tensor, "*B S"]
    """Place inside the segment, from 0; a query of horizon step h and dimension n has slot h N + n."""

    @property
    def order(self) -> Int[Tensor, "*B S"]:
        """Number the segments in the order of reading: prompt 0, s_t 3t+1, q_t 3t+2, a_t 3t+3."""
        return torch.where(self.kind == Kind.PROMPT, 0, 3 * self.timestep + self.kind)

    def select(self, index: Int[Tensor, " S2"] | slice) -> "TokenIds":
        """Pick tokens along the sequence."""
        return TokenIds(self.kind[..., index], self.timestep[..., index], self.slot[..., index])

    def to(self, device: torch.device) -> "TokenIds":
        """Move to a device."""
        return TokenIds(self.kind.to(device), self.timestep.to(device), self.slot.to(device))


def concatenate(*parts: TokenIds) -> TokenIds:
    """Join sequences end to end."""
    return TokenIds(
        torch.cat([part.kind for part in parts], dim=-1),
        torch.cat([part.timestep for part in parts], dim=-1),
        torch.cat([part.slot for part in parts], dim=-1),
    )


def segment_ids(kind: Kind, size: int, timestep: int = -1) -> TokenIds:
    """Number the tokens of one segment."""
    return TokenIds(torch.full((size,), kind), torch.full((size,), timestep), torch.arange(size))


def context_ids(L: int, M: int, N: int, T: int) -> TokenIds:
    """Number the tokens of a prompt and its context: p, s_1, a_1, ..., s_T, a_T."""
    parts = [segment_ids(Kind.PROMPT, L)]
    for timestep in range(T):
        parts += [segment_ids(Kind.STATE, M, timestep), segment_ids(Kind.ACTION, N, timestep)]
    return concatenate(*parts)


def query_ids(num_queries: int, T: int) -> TokenIds:
    """Number the action queries of T timesteps: q_1, ..., q_T."""
    return concatenate(*(segment_ids(Kind.QUERY, num_queries, timestep) for timestep in range(T)))


def sequence_ids(L: int, M: int, N: int, T: int, num_queries: int) -> TokenIds:
    """Number the whole sequence with its queries in place: p, s_1, q_1, a_1, ..., s_T, q_T, a_T."""
    parts = [segment_ids(Kind.PROMPT, L)]
    for timestep in range(T):
        parts += [
            segment_ids(Kind.STATE, M, timestep),
            segment_ids(Kind.QUERY, num_queries, timestep),
            segment_ids(Kind.ACTION, N, timestep),
        ]
    return concatenate(*parts)


def interleave(*segments: Shaped[Tensor, "B T _ *D"]) -> Shaped[Tensor, "B S *D"]:
    """Lay segments in one sequence, timestep by timestep in the order given.

    `interleave(s, a)` makes a context, `interleave(s, q, a)` the whole sequence after the prompt.
    """
    return torch.cat(segments, dim=2).flatten(1, 2)


def split(sequence: Shaped[Tensor, "B S *D"], *sizes: int) -> tuple[Shaped[Tensor, "B T _ *D"], ...]:
    """Undo `interleave`: each kind of segment as (B, T, size, ...)."""
    return sequence.unflatten(1, (-1, sum(sizes))).split(sizes, dim=2)
