"""Checks of what acting with a cache assumes about `may_attend`, once per timestep and shape.

A cache keeps the keys and values of tokens that were computed before. This is exact if

- a token never attends to a token that is computed after it,
- nothing attends to a query, because queries are not kept, and
- with a window, no token attends to what the cache has dropped.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

from astra.attention import masks
from astra.attention.assumptions import refuse, refuse_empty_rows, rows_are_equal
from astra.attention.positions import SegmentSizes
from astra.attention.segments import Kind, TokenIds, concatenate, context_ids, query_ids, segment_ids

LATEST = 512
"""Latest timestep that is checked with its whole past if there is a window; 25 ms of a core, once."""
FUTURE = 2
"""Timesteps after the present one to which no token may attend."""


def check_new_tokens(
    sizes: SegmentSizes,
    window: int | None,
    causal_segments: frozenset[Kind],
    ids: TokenIds,
    queries: TokenIds | None = None,
) -> bool:
    """Check the step of a cache that computes new tokens: consecutive tokens of the context, and queries.

    Returns:
        Whether all new tokens of a segment attend to the same tokens.

    Raises:
        MaskError: if the mask cannot be computed with a cache.
    """
    number, num_queries = ids.kind.shape[-1], 0 if queries is None else queries.kind.shape[-1]
    if not number:
        assert queries is not None, "a step needs new tokens or queries"
        kind, slot, timestep = Kind.STATE, sizes.state - 1, int(queries.timestep.max())
    else:  # of the trajectory that is furthest; the others have been there before
        last = torch.stack([ids.kind[0, -1], ids.slot[0, -1], ids.timestep[:, -1].max()])
        kind, slot, timestep = last.tolist()
    end = (
        sizes.prompt + timestep * (sizes.state + sizes.action) + (sizes.state if kind == Kind.ACTION else 0) + slot + 1
    )
    if kind == Kind.PROMPT:
        end = number = sizes.prompt
    elif timestep > (last := _last_checked(window, timestep)):
        end, timestep = end - (timestep - last) * (sizes.state + sizes.action), last
    return _check_step(masks.may_attend, sizes, window, causal_segments, end, number, timestep, num_queries)


def _last_checked(window: int | None, timestep: int) -> int:
    """Return the timestep that stands for this one.

    With a window, a rule of differences of timesteps is the same from 2 (W + 1) on, and a check of the whole past would
    take longer at every timestep. Powers of two up to `LATEST` are checked as they are, so that a rule of absolute
    timesteps is noticed too, unless it begins later or holds in between only.
    """
    if window is None or (timestep <= LATEST and timestep & (timestep - 1) == 0):
        return timestep
    return min(timestep, 2 * (window + 1))


def check_control_steps(sizes: SegmentSizes, window: int | None, num_queries: int, timesteps: int) -> None:
    """Check the control steps [a_{t-1}, s_t | q_t] of an episode.

    Raises:
        MaskError: if the mask cannot be computed with a cache.
    """
    check = partial(_check_step, masks.may_attend, sizes, window, frozenset[Kind]())
    check(sizes.prompt, sizes.prompt, -1, 0)
    for t in range(timesteps):
        end = sizes.prompt + t * (sizes.state + sizes.action) + sizes.state
        check(end, sizes.state + sizes.action, t, num_queries)


@lru_cache(maxsize=4096)
def _check_step(
    rule: Callable[..., Tensor],
    sizes: SegmentSizes,
    window: int | None,
    causal_segments: frozenset[Kind],
    end: int,
    number: int,
    timestep: int,
    num_queries: int,
) -> bool:
    """Check one step.

    Args:
        rule: The predicate `may_attend`.
        sizes: Sizes of segments.
        window: W in timesteps.
        causal_segments: As in `may_attend`.
        end: Number of context tokens, prompt included, that are known after this step.
        number: Those of them that are new; at the first timestep this counts an action that does not exist.
        timestep: The present timestep.
        num_queries: Queries of the present timestep.
    """
    rule = partial(rule, window=window, causal_segments=causal_segments)
    L, per_timestep = sizes.prompt, sizes.state + sizes.action
    context = context_ids(L, sizes.state, sizes.action, timestep + 1 + FUTURE)
    start = end - number if timestep < 0 else max(end - number, L)
    old, new, later = (context.select(part) for part in (slice(0, start), slice(start, end), slice(end, None)))
    queries = segment_ids(Kind.QUERY, num_queries, timestep)
    old_queries = query_ids(num_queries, timestep) if timestep > 0 else segment_ids(Kind.QUERY, 0)
    old_rows, rows = concatenate(old, old_queries), concatenate(new, queries)

    reason = "a cache keeps outputs that were computed before: a token must not attend to later tokens"
    refuse(rule(old_rows, new), old_rows, new, reason)
    refuse(rule(rows, later), rows, later, reason)
    reason = "a cache keeps no keys and values of action queries: nothing may attend to a query"
    refuse(rule(old_rows, queries), old_rows, queries, reason)
    refuse(rule(rows, concatenate(old_queries, queries)), rows, concatenate(old_queries, queries), reason)
    if window is not None:
        dropped = context.select(slice(L, max(end - (window + 1) * per_timestep, L)))
        refuse(rule(rows, dropped), rows, dropped, f"with window={window} the cache has dropped it")
    allowed = rule(rows, context.select(slice(0, end)))
    refuse_empty_rows(allowed, rows)
    return rows_are_equal(allowed, rows)


def check_cross_attention(sizes: SegmentSizes, window: int | None, causal_segments: frozenset[Kind], T: int) -> None:
    """Check that all states and actions of T timesteps attend to the whole prompt, as cross-attention computes it.

    Raises:
        MaskError: if one of them may not.
    """
    _check_cross_attention(masks.may_attend, sizes, window, causal_segments, _last_checked(window, T - 1) + 1)


@lru_cache(maxsize=4096)
def _check_cross_attention(
    rule: Callable[..., Tensor], sizes: SegmentSizes, window: int | None, causal_segments: frozenset[Kind], T: int
) -> None:
    prompt, rows = segment_ids(Kind.PROMPT, sizes.prompt), context_ids(0, sizes.state, sizes.action, T)
    hidden = ~rule(rows, prompt, window=window, causal_segments=causal_segments)
    reason = "cross-attention shows the whole prompt to every token"
    refuse(hidden, rows, prompt, reason, "forbids {row} to attend to {column}")
