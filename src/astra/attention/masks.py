"""The attention mask: one rule, `may_attend`, from which every kernel's mask is made.

True at (i, j) means: token i (row) may attend to token j (column).

With causal attention a token attends to itself and to the tokens before it. Trajectory attention adds: inside a
prompt, a state or an action, all tokens attend to each other. Action queries attend to the past; nothing attends to
them, not even they themselves: a query's own vector reaches its output through the residual connection alone.
Deviation: the paper does not say whether a query attends to itself; Figure 7a masks the whole column of a query.

Call it as `masks.may_attend`, so that there is one name to change. Fast paths check what they assume of it; see
docs/changing-the-mask.md.

Source: section 3.2, Figures 3 and 7, appendix A.2.
"""

import hashlib
from collections.abc import Callable, Collection
from functools import lru_cache, partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from astra.attention.assumptions import refuse, refuse_empty_rows
from astra.attention.segments import Kind, TokenIds, concatenate, context_ids, query_ids, segment_ids, sequence_ids

ALL_SEGMENTS = frozenset({Kind.PROMPT, Kind.STATE, Kind.ACTION})
"""The `causal_segments` of causal attention."""


def may_attend(
    rows: TokenIds, columns: TokenIds, *, window: int | None = None, causal_segments: Collection[Kind] = ()
) -> Bool[Tensor, "*B R C"]:
    """Decide for every pair of tokens whether the row may attend to the column.

    Token i may attend to token j when the segment of j does not come after the segment of i, j is not a query, and j
    belongs to the prompt or is fewer than `window` timesteps old. With the order of segments p 0, s_t 3t+1, q_t 3t+2,
    a_t 3t+3 (t from 0):

        order(j) <= order(i)  and  kind(j) != QUERY  and  (kind(j) == PROMPT or timestep(i) - timestep(j) < window)

    Args:
        rows: Tokens that attend.
        columns: Tokens that are attended to.
        window: W in timesteps; None for no limit. Deviation: the paper has no window.
        causal_segments: Kinds of segments in which a token attends only to itself and to earlier slots. None is the
            paper's trajectory attention; `ALL_SEGMENTS` is causal attention.
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


def rule_checksum() -> str:
    """Return a checksum of what `may_attend` allows, by which a checkpoint can tell that the rule was changed.

    The rule is sampled in a sequence of four timesteps, with and without a window and causal segments.
    """
    ids = sequence_ids(3, 3, 3, 4, 3)
    samples = [
        may_attend(ids, ids, window=window, causal_segments=causal)
        for window in (None, 2)
        for causal in (frozenset[Kind](), frozenset({Kind.STATE}), ALL_SEGMENTS)
    ]
    return hashlib.sha256(torch.stack(samples).numpy().tobytes()).hexdigest()


def hide_actions(
    allowed: Bool[Tensor, "*B R C"], rows: TokenIds, columns: TokenIds, hidden: Bool[Tensor, "*B2 C"] | None = None
) -> Bool[Tensor, "*B3 R C"]:
    """Hide actions from all later segments; inside its own segment an action stays visible.

    Args:
        allowed: Mask so far.
        rows: Tokens that attend.
        columns: Tokens that are attended to.
        hidden: Columns whose actions are hidden, if they are actions; None: all.
    """
    actions = columns.kind == Kind.ACTION
    actions = actions if hidden is None else actions & hidden
    return allowed & ~((columns.order[..., None, :] < rows.order[..., :, None]) & actions[..., None, :])


def trajectory_mask(
    L: int, M: int, N: int, T: int, *, num_queries: int = 0, window: int | None = None
) -> Bool[Tensor, "S S"]:
    """Return the mask of trajectory attention over the whole sequence p, s_1, q_1, a_1, s_2, ...

    With queries this is the decoding matrix of Figure 7a; without queries, the encoding matrix of Figure 7b. For L = 2,
    M = 2, N = 2, T = 2 with queries:

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

    Without queries it has L(L-1)/2 + T(M(M-1)/2 + N(N-1)/2) more entries than causal attention (section 3.2).
    """
    ids = sequence_ids(L, M, N, T, num_queries)
    return may_attend(ids, ids, window=window)


def causal_mask(L: int, M: int, N: int, T: int) -> Bool[Tensor, "S S"]:
    """Return the mask of causal attention over a context: the lower triangle.

    For L = 1, M = 2, N = 1, T = 1 (Figure 3a):

              p  s s  a
        p     1  . .  .
        s_1   1  1 .  .
        s_1   1  1 1  .
        a_1   1  1 1  1
    """
    ids = context_ids(L, M, N, T)
    return may_attend(ids, ids, causal_segments=ALL_SEGMENTS)


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
    past_actions: bool = True,
) -> tuple[TokenIds, TokenIds, Bool[Tensor, "R S"]]:
    """Return the rectangular mask of the fast kernels, computed once per shape.

    Rows are the context (states and actions), then the queries of all timesteps. Columns are the prompt, then the
    context. The rows of the prompt and the columns of the queries are left out; this is checked against `may_attend`.

    Args:
        L: Prompt tokens.
        M: State tokens per timestep.
        N: Action tokens per timestep.
        T: Timesteps.
        num_queries: Queries per timestep; 0 for encoding only.
        window: W in timesteps, as in `may_attend`.
        actions: Timesteps whose action is in the context: T (also None), T - 1, or 0.
        causal_segments: As in `may_attend`.
        past_actions: Whether later segments attend to actions.

    Returns:
        The ids of the rows, the ids of the columns, and the mask.

    Raises:
        MaskError: if `may_attend` needs something that is left out.
    """
    actions = T if actions is None else actions
    return _split_mask(may_attend, L, M, N, T, num_queries, window, actions, causal_segments, past_actions)


@lru_cache(maxsize=64)
def _split_mask(
    rule: Callable[..., Bool[Tensor, "R S"]],
    L: int,
    M: int,
    N: int,
    T: int,
    num_queries: int,
    window: int | None,
    actions: int,
    causal_segments: frozenset[Kind],
    past_actions: bool,
) -> tuple[TokenIds, TokenIds, Bool[Tensor, "R S"]]:
    seen = partial(rule, window=window, causal_segments=causal_segments)
    rule = seen if past_actions else lambda rows, columns: hide_actions(seen(rows, columns), rows, columns)
    whole = context_ids(L, M, N, T)
    left_out = (whole.kind == Kind.ACTION) & (whole.timestep >= actions)
    prompt, missing = whole.select(slice(0, L)), whole.select(left_out)
    columns = whole.select(~left_out)
    rows = columns.select(slice(L, None))
    rows = concatenate(rows, query_ids(num_queries, T)) if num_queries else rows
    allowed, everything = rule(rows, columns), concatenate(prompt, rows)

    reason = "a prompt is encoded once, without its context: the prompt must attend to nothing else"
    refuse(rule(prompt, rows), prompt, rows, reason)
    reason = "this action is left out of the sequence because nothing needed should attend to it"
    refuse(rule(everything, missing), everything, missing, reason)
    reason = "action queries have no keys and values: nothing may attend to a query"
    for timestep in range(T if num_queries else 0):
        queries = segment_ids(Kind.QUERY, num_queries, timestep)
        refuse(rule(everything, queries), everything, queries, reason)
    refuse_empty_rows(rule(prompt, prompt), prompt)
    refuse_empty_rows(allowed, rows)
    return rows, columns, allowed


def additive(allowed: Bool[Tensor, "*B R C"], dtype: torch.dtype) -> Float[Tensor, "*B R C"]:
    """Return the mask to add to attention scores: 0 where allowed, a very negative number elsewhere.

    The number is finite on purpose: a row of padding, which attends to nothing, stays finite too.
    """
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(
        ~allowed, torch.finfo(dtype).min / 4
    )
