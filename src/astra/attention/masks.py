"""Who may attend to whom: one predicate, from which every kernel's mask is made.

True at (i, j) means: token i may attend to token j. Rows read, columns are read.

Causal attention lets a token read itself and the tokens before it. Trajectory attention adds what a segment lacks
then: inside a prompt, a state or an action all tokens read each other. Action queries read what came before their
action and are read by nobody, not even by themselves: what a query is survives in the residual stream alone.

Source: section 3.2, Figures 3 and 7, appendix A.2.
"""

from collections.abc import Collection
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from astra.attention.segments import Kind, TokenIds, concatenate, context_ids, query_ids, sequence_ids

ALL_SEGMENTS = frozenset({Kind.PROMPT, Kind.STATE, Kind.ACTION})


def may_attend(
    rows: TokenIds, columns: TokenIds, *, window: int | None = None, causal_segments: Collection[Kind] = ()
) -> Bool[Tensor, "*B R C"]:
    """Decide for every pair of tokens: the rule of which all kernels are implementations.

    Token i may attend to token j when j's segment is not after i's, j is no query, and j is of the prompt or fewer
    than `window` timesteps back. With the order of segments p 0, s_t 3t+1, q_t 3t+2, a_t 3t+3 (t from 0):

        order(j) <= order(i)  and  kind(j) != QUERY  and  (kind(j) == PROMPT or timestep(i) - timestep(j) < window)

    Args:
        rows: The tokens that read.
        columns: The tokens that are read.
        window: W, in timesteps; None reaches back to the first. Deviation: the paper has no window.
        causal_segments: Kinds inside which a token reads only itself and earlier slots; none is the paper's
            trajectory attention, all (`ALL_SEGMENTS`) is causal attention.
    """
    row_order, column_order = rows.order[..., :, None], columns.order[..., None, :]
    column_kind = columns.kind[..., None, :]
    allowed = (column_order <= row_order) & (column_kind != Kind.QUERY)
    if window is not None:
        age = rows.timestep[..., :, None] - columns.timestep[..., None, :]
        allowed &= (column_kind == Kind.PROMPT) | (age < window)
    for kind in causal_segments:
        same_segment = (column_order == row_order) & (column_kind == kind)
        allowed &= ~same_segment | (columns.slot[..., None, :] <= rows.slot[..., :, None])
    return allowed


def trajectory_mask(
    L: int, M: int, N: int, T: int, *, num_queries: int = 0, window: int | None = None
) -> Bool[Tensor, "S S"]:
    """Draw trajectory attention over the whole sequence, in the order p, s_1, q_1, a_1, s_2, ...

    With queries it is the decoding matrix of Figure 7a, without the encoding matrix of Figure 7b. For L = 2, M = 2,
    N = 2, T = 2 with queries:

              p p  s s  q q  a a  s s  q q  a a
        p     1 1  . .  . .  . .  . .  . .  . .
        p     1 1  . .  . .  . .  . .  . .  . .
        s_1   1 1  1 1  . .  . .  . .  . .  . .
        s_1   1 1  1 1  . .  . .  . .  . .  . .
        q_1   1 1  1 1  . .  . .  . .  . .  . .
        q_1   1 1  1 1  . .  . .  . .  . .  . .
        a_1   1 1  1 1  . .  1 1  . .  . .  . .
        a_1   1 1  1 1  . .  1 1  . .  . .  . .
        s_2   1 1  1 1  . .  1 1  1 1  . .  . .
        s_2   1 1  1 1  . .  1 1  1 1  . .  . .
        q_2   1 1  1 1  . .  1 1  1 1  . .  . .
        q_2   1 1  1 1  . .  1 1  1 1  . .  . .
        a_2   1 1  1 1  . .  1 1  1 1  . .  1 1
        a_2   1 1  1 1  . .  1 1  1 1  . .  1 1

    Without queries it holds L(L-1)/2 + T(M(M-1)/2 + N(N-1)/2) entries more than causal attention (section 3.2).
    """
    ids = sequence_ids(L, M, N, T, num_queries)
    return may_attend(ids, ids, window=window)


def causal_mask(L: int, M: int, N: int, T: int) -> Bool[Tensor, "S S"]:
    """Draw causal attention over a context: the lower triangle, whatever the segments.

    For L = 1, M = 2, N = 1, T = 1 (Figure 3a):

              p  s s  a
        p     1  . .  .
        s_1   1  1 .  .
        s_1   1  1 1  .
        a_1   1  1 1  1
    """
    ids = context_ids(L, M, N, T)
    return may_attend(ids, ids, causal_segments=ALL_SEGMENTS)


@lru_cache(maxsize=64)
def split_mask(
    L: int,
    M: int,
    N: int,
    T: int,
    num_queries: int,
    *,
    window: int | None = None,
    actions: int | None = None,
    causal_segments: frozenset[Kind] = frozenset(),
) -> tuple[TokenIds, TokenIds, Bool[Tensor, "R S"]]:
    """Make the rectangular mask of the split kernel, kept per shape.

    Rows are the context (states and actions) and then the queries of all timesteps, columns are the prompt and then
    the context: the prompt reads nothing but itself, and no column is a query, since nobody reads one.

    Args:
        L: Prompt tokens.
        M: State tokens per timestep.
        N: Action tokens per timestep.
        T: Timesteps.
        num_queries: Queries per timestep; 0 encodes.
        window: W, as in `may_attend`.
        actions: Timesteps whose action is in the context, T or T - 1; None: T.
        causal_segments: As in `may_attend`.

    Returns:
        The ids of the rows, those of the columns, and the mask between them.
    """
    columns = context_ids(L, M, N, T)
    columns = columns.select(slice(0, len(columns.kind) - (0 if actions is None else T - actions) * N))
    rows = columns.select(slice(L, None))
    rows = concatenate(rows, query_ids(num_queries, T)) if num_queries else rows
    return rows, columns, may_attend(rows, columns, window=window, causal_segments=causal_segments)


def additive(allowed: Bool[Tensor, "*B R C"], dtype: torch.dtype) -> Float[Tensor, "*B R C"]:
    """Turn a mask into what is added to attention scores: 0 where allowed, hugely negative elsewhere.

    The number is finite on purpose: a row that may attend to nothing (padding only) stays finite too.
    """
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(
        ~allowed, torch.finfo(dtype).min / 4
    )
