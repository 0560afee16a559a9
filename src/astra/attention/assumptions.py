"""Errors for a mask that a fast path cannot compute.

`may_attend` is the only rule about who attends to whom. Fast paths skip work that this rule makes useless: action
queries have no keys, a prompt is encoded apart, a cache keeps old outputs. Each of them checks its assumption against
the rule, once per shape. A changed rule is then either computed as written or refused here; it is never half used.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from astra.attention.segments import Kind, TokenIds

NAMES = {
    Kind.PROMPT: "prompt token",
    Kind.STATE: "state token",
    Kind.QUERY: "action query",
    Kind.ACTION: "action token",
}


class MaskError(ValueError):
    """`may_attend` breaks an assumption of a fast path."""


def refuse(
    pairs: Bool[Tensor, "R columns"],
    rows: TokenIds,
    columns: TokenIds,
    reason: str,
    problem: str = "lets {row} attend to {column}",
) -> None:
    """Raise an error if there is a pair of tokens that a fast path cannot compute as the rule says.

    Args:
        pairs: True for such pairs.
        rows: Tokens that attend.
        columns: Tokens that are attended to.
        reason: Why this is impossible, as the end of a sentence.
        problem: What the rule does to such a pair.

    Raises:
        MaskError: if there is such a pair; the message names the first one.
    """
    if pairs.any():
        row, column = (int(index) for index in pairs.nonzero()[0])
        problem = problem.format(row=describe(rows, row), column=describe(columns, column))
        raise MaskError(f"`may_attend` {problem}, but {reason} (see docs/changing-the-mask.md)")


def refuse_empty_rows(allowed: Bool[Tensor, "R columns"], rows: TokenIds) -> None:
    """Raise an error if a row attends to nothing: its output would be a different number in every kernel.

    Raises:
        MaskError: if there is such a row; the message names the first one.
    """
    empty = ~allowed.any(dim=1)
    if empty.any():
        row = int(empty.nonzero()[0, 0])
        raise MaskError(
            f"`may_attend` leaves {describe(rows, row)} nothing to attend to, but attention needs at least one token "
            "(see docs/changing-the-mask.md)"
        )


def describe(ids: TokenIds, index: int) -> str:
    """Return a token's name for an error message, such as `state token 0 of timestep 3`."""
    kind, slot = Kind(int(ids.kind[index])), int(ids.slot[index])
    timestep = "" if kind == Kind.PROMPT else f" of timestep {int(ids.timestep[index])}"
    return f"{NAMES[kind]} {slot}{timestep}"


def rows_are_equal(allowed: Bool[Tensor, "R columns"], rows: TokenIds) -> bool:
    """Whether all tokens of each segment attend to the same columns; segments must not be interleaved."""
    _, segment = torch.unique_consecutive(rows.order, return_inverse=True)
    same_segment = segment[1:] == segment[:-1]
    return not (same_segment & (allowed[1:] != allowed[:-1]).any(dim=1)).any()
