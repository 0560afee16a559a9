"""Norm that gives tokens the length at which words, actions and queries start."""

from torch import nn

from astra.attention.initialization import init_std


def word_norm(width: int) -> nn.LayerNorm:
    """Build a layer norm whose outputs start with the standard deviation of new embeddings: a norm of 0.55.

    Tokens of objects otherwise start with a norm of about 6 at a width of 128, beside which positions and words of
    0.55 vanish in the first layer norm.
    """
    norm = nn.LayerNorm(width, bias=False)
    nn.init.constant_(norm.weight, init_std(width))
    return norm
