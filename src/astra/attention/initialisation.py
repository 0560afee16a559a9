"""Weights before training: GPT-2's, carried over to other widths; and attention that begins by likeness."""

from typing import Literal

import torch
from torch import nn

from astra.attention.layers import Attention, FeedForward
from astra.attention.vima_block import CrossBlock, GatedFeedForward

Initialisation = Literal["gpt2", "mimetic"]
"""As GPT-2, or with attention that begins by looking for what is like oneself and copying it."""


def spread(width: int) -> float:
    """Give the standard deviation of new weights at a width: GPT-2's 0.02 at GPT-2's width of 768.

    It grows as 1 / sqrt(width), so that at every width an embedding is as long, and a layer answers as loudly to a
    normalised token, as in GPT-2. With 0.02 at a width of 128, blocks say next to nothing at first, and small policies
    take many times as long to begin to learn.
    """
    return 0.02 * (768 / width) ** 0.5


def initialise(transformer: nn.Module, width: int) -> None:
    """Initialise as GPT-2 does, with s = `spread(width)`.

    ============================  =======================================
    linear weights                normal, s
    weights that end a residual   normal, s / sqrt(number of residuals)
    position table                normal, s
    biases                        0
    layer norms                   scale 1, shift 0
    ============================  =======================================

    There are two residuals per block. What is initialised may be any module that holds blocks.
    """
    last: list[nn.Linear] = []
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=spread(width))
            if module.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=spread(width))
        elif isinstance(module, Attention | CrossBlock):
            last.append(module.out)
        elif isinstance(module, FeedForward | GatedFeedForward):
            last.append(module.down)
    for layer in last:
        nn.init.normal_(layer.weight, std=spread(width) / len(last) ** 0.5)


LIKENESS, COPY = 3.5, 0.35
"""Attention score between two equal tokens, and the share of a token's content that reading it adds, at the start."""


def initialise_mimetic(transformer: nn.Module) -> None:
    """Let attention begin by reading what is like the reader, and by copying it.

    Queries and keys have equal weights, so the score of two tokens is about `LIKENESS` where they are equal; the output
    weights are the transposed value weights, so that what is read is copied, `COPY` of it. A policy has to find the
    object of a picture in the scene, and then its place: both are there from the beginning.

    Source: Trockman and Kolter 2023, Mimetic initialization of self-attention layers, who found the first in trained
    transformers. Deviation: they give the second the other sign.
    """
    for module in transformer.modules():
        if isinstance(module, Attention | CrossBlock):
            D = module.out.in_features
            if isinstance(module, Attention):
                q, k, v = module.qkv.weight.chunk(3)
            else:
                q, (k, v) = module.q.weight, module.keys_values.weight.chunk(2)
            with torch.no_grad():
                q.normal_(std=(LIKENESS / (D * (D / module.heads) ** 0.5)) ** 0.5)
                k.copy_(q)
                v.normal_(std=(COPY / D) ** 0.5)
                module.out.weight.copy_(v.mT)
