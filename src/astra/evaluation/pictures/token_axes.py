"""Axes of a matrix over tokens: one tick at the last token of each segment, as in Figure 8 of the paper."""

import torch
from jaxtyping import Int
from matplotlib.axes import Axes
from torch import Tensor

from astra.attention.segments import Kind, TokenIds
from astra.evaluation.pictures.style import KIND_COLORS

MAX_LABELS = 24
"""Maximum number of labels; with more segments, only every second or third timestep is labeled."""


LABEL_SIZE = 9.0
"""Size of labels in points; reports show a figure of 9 inches at its full size."""
LEGEND = "$s_{2,1}$: token 2 of the state at timestep 1; the last token of each part is labeled"
"""Explanation of the labels, drawn below each matrix."""


def reading_order(ids: TokenIds) -> Int[Tensor, " S"]:
    """Return the order p, s_1, q_1, a_1, s_2, ... of tokens that are stored as context and then queries."""
    return torch.argsort(ids.order * (int(ids.slot.max()) + 1) + ids.slot, stable=True)


def token_label(kind: int, timestep: int, slot: int) -> str:
    """Return the label of a token as in the paper, counted from 1: $p_4$; $s_{2,1}$ is state token 2 at timestep 1."""
    letter = "psqa"[kind]
    return f"${letter}_{{{slot + 1}}}$" if kind == Kind.PROMPT else f"${letter}_{{{slot + 1},{timestep + 1}}}$"


def label_tokens(axes: Axes, rows: TokenIds, columns: TokenIds, size: float = LABEL_SIZE) -> None:
    """Label the last token of each segment in the color of its kind; columns are labeled at the top."""
    axes.xaxis.tick_top()
    for axis, ids, turned in ((axes.yaxis, rows, 0), (axes.xaxis, columns, 90)):
        ends = _labeled(ids)
        axis.set_ticks(ends.tolist(), [token_label(*_token(ids, end)) for end in ends.tolist()])
        axis.set_tick_params(length=2, pad=1, labelsize=size, labelrotation=turned)
        for label, end in zip(axis.get_ticklabels(), ends.tolist(), strict=True):
            label.set_color(KIND_COLORS[Kind(int(ids.kind[end]))])


def segment_ends(ids: TokenIds) -> Int[Tensor, " segments"]:
    """Return the index of the last token of each segment."""
    return torch.cat([ids.order.diff().nonzero().flatten(), torch.tensor([len(ids.order) - 1])])


def _labeled(ids: TokenIds) -> Int[Tensor, " segments"]:
    ends = segment_ends(ids)
    every = -(-len(ends) // MAX_LABELS)
    last = int(ids.timestep.max())
    return ends[(last - ids.timestep[ends]) % every == 0]


def _token(ids: TokenIds, place: int) -> tuple[int, int, int]:
    return int(ids.kind[place]), int(ids.timestep[place]), int(ids.slot[place])
