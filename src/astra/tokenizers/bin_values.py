"""Bins embedded as numbers: Fourier features of a bin's place, through an MLP, so that neighbors have similar tokens.

    bin 3 of 100  ->  sin(j x), cos(j x), j = 1 ... F  ->  MLP  ->  token

Source: Jiang et al. 2023, VIMA, whose action tokens come from values too.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std

VARIANCE_AFTER_GELU = 0.425
"""Mean square of the GELU of a standard normal number."""


def waves(
    counts: Int[Tensor, " N"], periodic: Bool[Tensor, " N"], num_bins: int, frequencies: int
) -> Float[Tensor, "N K n"]:
    """Return sin(j x) and cos(j x), j = 1 ... F, where x is the place of each bin on an arc of half a turn.

    Periodic dimensions have a whole turn, since their last bin is a neighbor of the first.

    Args:
        counts: Bins of each dimension.
        periodic: True for periodic dimensions.
        num_bins: K, the largest number of bins.
        frequencies: F.
    """
    share = (torch.arange(num_bins, device=counts.device) + 0.5) / counts[:, None]
    turn = math.pi * torch.where(periodic, 2.0, 1.0)[:, None] * share
    angles = turn[..., None] * torch.arange(1, frequencies + 1, device=turn.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class ValueEmbedding(nn.Module):
    """Table of one token per bin, computed from the places of the bins; its tokens start as long as embeddings do."""

    waves: Tensor
    places: Tensor

    def __init__(self, numbers: Sequence[int], periodic: Bool[Tensor, " N"], frequencies: int, width: int) -> None:
        """Build the MLP, whose first layer each dimension has for itself.

        Args:
            numbers: Bins of each dimension.
            periodic: True for periodic dimensions.
            frequencies: F, Fourier frequencies of a place.
            width: Width of a token.
        """
        super().__init__()
        N, K = len(numbers), max(numbers)
        features = waves(torch.tensor(numbers), periodic, K, frequencies) / frequencies**0.5  # of length 1
        self.register_buffer("waves", features, persistent=False)
        places = [n * K + torch.arange(number) for n, number in enumerate(numbers)]
        self.register_buffer("places", torch.cat(places), persistent=False)
        self.first = nn.Parameter(torch.randn(N, 2 * frequencies, width))
        self.bias = nn.Parameter(torch.zeros(N, width))
        self.second = nn.Linear(width, width)
        nn.init.normal_(self.second.weight, std=init_std(width) / (VARIANCE_AFTER_GELU * width) ** 0.5)
        nn.init.zeros_(self.second.bias)

    def forward(self, rows: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch D"]:
        """Return the tokens of bins, counted through all dimensions; all bins are embedded once."""
        hidden = F.gelu(torch.einsum("nkf,nfd->nkd", self.waves, self.first) + self.bias[:, None])
        return F.embedding(rows, self.second(hidden).flatten(0, 1)[self.places])
