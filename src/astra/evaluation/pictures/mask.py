"""Draw an attention mask, colored by the kind of token that is attended to."""

import numpy as np
from jaxtyping import Bool
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from astra.attention.segments import Kind, TokenIds
from astra.evaluation.pictures.style import GRAY, KIND_COLORS, new_figure
from astra.evaluation.pictures.token_axes import LEGEND, label_tokens, reading_order, segment_ends

MASKED = "#f4f4f4"
"""Color of masked cells."""


def mask_picture(may_attend: Bool[Tensor, "rows columns"], rows: TokenIds, columns: TokenIds) -> Figure:
    """Draw a mask in reading order; each row attends to the colored columns.

    A cell has the color of its column's kind. It is lighter where a token attends to a later token of its own segment,
    which causal attention does not allow. Source: Figures 3 and 7.
    """
    row_order, column_order = reading_order(rows), reading_order(columns)
    rows, columns = rows.select(row_order), columns.select(column_order)
    allowed = may_attend[row_order][:, column_order].numpy()
    within = rows.order[:, None] == columns.order[None, :]
    ahead = (within & (columns.slot[None, :] > rows.slot[:, None])).numpy()
    palette = np.array([to_rgb(KIND_COLORS[kind]) for kind in Kind])
    picture = np.broadcast_to(palette[columns.kind.numpy()], (*allowed.shape, 3)).copy()
    picture[ahead] = 0.45 * picture[ahead] + 0.55
    picture[~allowed] = to_rgb(MASKED)

    side = float(np.clip(0.13 * len(columns.kind), 4.5, 9))
    figure = new_figure(side + 0.4, side * len(rows.kind) / len(columns.kind) + 1.4)
    axes = figure.subplots()
    axes.imshow(picture, interpolation="nearest")
    label_tokens(axes, rows, columns)
    lines = {"color": "white", "linewidth": 1.0}
    for end in segment_ends(rows)[:-1].tolist():
        axes.axhline(end + 0.5, **lines)
    for end in segment_ends(columns)[:-1].tolist():
        axes.axvline(end + 0.5, **lines)
    axes.spines[:].set_color(GRAY)
    names = {Kind.PROMPT: "the prompt", Kind.STATE: "states", Kind.ACTION: "actions"}
    patches = [Patch(color=KIND_COLORS[kind], label=f"attends to {name}") for kind, name in names.items()]
    patches.append(Patch(color="#cccccc", label="lighter: masked in causal attention"))
    figure.legend(
        handles=patches, loc="outside lower center", ncols=2, fontsize=9, frameon=False, title=LEGEND, title_fontsize=9
    )
    return figure
