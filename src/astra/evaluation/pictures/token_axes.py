"""Axes of a matrix over tokens: ticks on the last token of each segment, as in Figure 8 of the paper."""

import torch
from jaxtyping import Int
from matplotlib.axes import Axes
from torch import Tensor

from astra.attention.segments import Kind, TokenIds
from astra.evaluation.pictures.style import KIND_COLORS

MOST_LABELS = 36
"""More segments than fit are labeled every second or third timestep."""


def reading_order(ids: TokenIds) -> Int[Tensor, " S"]:
    """Sort tokens as they are read: p, s_1, q_1, a_1, s_2, ...; sorts context-then-queries back in place."""
    return torch.argsort(ids.order * (int(ids.slot.max()) + 1) + ids.slot, stable=True)


def token_label(kind: int, timestep: int, slot: int) -> str:
    """Write a token as the paper does, counted from 1: $p_4$, $s_{2,1}$ is the second state token at timestep 1."""
    letter = "psqa"[kind]
    return f"${letter}_{{{slot + 1}}}$" if kind == Kind.PROMPT else f"${letter}_{{{slot + 1},{timestep + 1}}}$"


def label_tokens(axes: Axes, rows: TokenIds, columns: TokenIds, size: float = 7.0) -> None:
    """Put tick labels in the colors of the kinds on the last token of each segment; columns are labeled on top."""
    axes.xaxis.tick_top()
    for axis, ids, turned in ((axes.yaxis, rows, 0), (axes.xaxis, columns, 90)):
        ends = _labeled(ids)
        axis.set_ticks(ends.tolist(), [token_label(*_token(ids, end)) for end in ends.tolist()])
        axis.set_tick_params(length=2, pad=1, labelsize=size, labelrotation=turned)
        for label, end in zip(axis.get_ticklabels(), ends.tolist(), strict=True):
            label.set_color(KIND_COLORS[Kind(int(ids.kind[end]))])


def segment_ends(ids: TokenIds) -> Int[Tensor, " G"]:
    """Find the last token of each segment."""
    return torch.cat([ids.order.diff().nonzero().flatten(), torch.tensor([len(ids.order) - 1])])


def _labeled(ids: TokenIds) -> Int[Tensor, " G"]:
    ends = segment_ends(ids)
    every = -(-len(ends) // MOST_LABELS)
    last = int(ids.timestep.max())
    return ends[(last - ids.timestep[ends]) % every == 0]


def _token(ids: TokenIds, place: int) -> tuple[int, int, int]:
    return int(ids.kind[place]), int(ids.timestep[place]), int(ids.slot[place])
