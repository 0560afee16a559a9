"""Draw the attention weights of a trained policy over a trajectory, as in Figure 8 of the paper."""

import math
from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from astra.attention.segments import TokenIds
from astra.evaluation.pictures.style import GRAY, INK, new_figure
from astra.evaluation.pictures.token_axes import LEGEND, label_tokens, reading_order

MAX_HEADS = 8
"""Maximum number of heads drawn."""
COLUMNS = 2
"""Heads per row of the figure."""
TICKS = 5
"""Labeled weights beside 0."""


def attention_maps(
    maps: Sequence[Float[Tensor, "B H rows columns"]], rows: TokenIds, columns: TokenIds, *, layer: int = -1
) -> Figure:
    """Draw the attention weights of one layer's heads for the first trajectory; brighter cells are larger weights.

    Args:
        maps: attention weights of every layer; each row attends to the columns.
        rows: token of each row. Rows are drawn in reading order, queries between states and actions.
        columns: token of each column.
        layer: layer to draw, counted from 0; -1 is the top layer, which the paper shows.
    """
    rows, columns, weights = _in_reading_order(maps[layer][0], rows, columns)
    heads = weights[:MAX_HEADS]
    across = min(len(heads), COLUMNS)
    down = math.ceil(len(heads) / across)
    side = 4.2 if across > 1 else 6.0
    figure = new_figure(side * across + 0.4, (side * len(rows.kind) / len(columns.kind) + 0.4) * down + 0.6)
    grid = figure.subplots(down, across, squeeze=False)
    # Weights are small if there are many tokens: the square root makes them visible.
    largest = float(heads.quantile(0.999)) or 1.0
    norm = PowerNorm(0.5, vmin=0.0, vmax=largest, clip=True)
    for axes in grid.flat:
        axes.set_axis_off()
    for head, axes in zip(range(len(heads)), grid.flat, strict=False):
        axes.set_axis_on()
        axes.imshow(heads[head].numpy(), cmap="inferno", norm=norm, interpolation="nearest")
        label_tokens(axes, rows, columns)
        axes.set_xlabel(f"head {head + 1}", fontsize=10, color=INK)
        axes.spines[:].set_visible(False)
    bar = figure.colorbar(ScalarMappable(norm, "inferno"), ax=grid, shrink=0.7, aspect=30, pad=0.01)
    ticks = [largest * (number / TICKS) ** 2 for number in range(TICKS + 1)]  # at equal distances in the picture
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.ax.tick_params(labelsize=9, color=GRAY)
    bar.outline.set_visible(False)
    number = layer % len(maps) + 1
    figure.suptitle(f"Attention weights, layer {number} of {len(maps)}", fontsize=11, color=INK)
    figure.supxlabel(LEGEND, fontsize=9, color=GRAY)
    return figure


def _in_reading_order(
    weights: Float[Tensor, "H rows columns"], rows: TokenIds, columns: TokenIds
) -> tuple[TokenIds, TokenIds, Float[Tensor, "H rows columns"]]:
    row_order, column_order = reading_order(rows), reading_order(columns)
    ordered = weights.float().cpu()[:, row_order][:, :, column_order]
    return rows.select(row_order), columns.select(column_order), ordered
