"""Initial weights: those of GPT-2, scaled to other widths."""

from torch import nn

from astra.attention.layers import Attention, FeedForward
from astra.attention.vima_block import CrossBlock, GatedFeedForward


def init_std(width: int) -> float:
    """Return the standard deviation of new weights: 0.02 at GPT-2's width of 768.

    It scales as 1 / sqrt(width), so that the norm of an embedding and the size of a layer's output are the same at
    every width. With 0.02 at a width of 128 the blocks' outputs are tiny at first, and small policies learn later.
    Deviation: the paper does not say.
    """
    return 0.02 * (768 / width) ** 0.5


def initialize(transformer: nn.Module, width: int) -> None:
    """Initialize weights as GPT-2 does, with s = `init_std(width)`.

    ============================  =======================================
    linear weights                normal, s
    weights that end a residual   normal, s / sqrt(number of residuals)
    position table                normal, s
    biases                        0
    layer norms                   scale 1, shift 0
    ============================  =======================================

    There are two residuals per block. The module may be anything that holds blocks.
    """
    last: list[nn.Linear] = []
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=init_std(width))
            if module.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=init_std(width))
        elif isinstance(module, Attention | CrossBlock):
            last.append(module.out)
        elif isinstance(module, FeedForward | GatedFeedForward):
            last.append(module.down)
    for layer in last:
        nn.init.normal_(layer.weight, std=init_std(width) / len(last) ** 0.5)
