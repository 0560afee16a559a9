"""State vectors, such as joint angles or keypoints, as tokens."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.storage.numbers import Frequencies, check_numbers
from astra.trajectory import VectorStatistics


@dataclass(frozen=True, kw_only=True)
class ProprioceptionConfig:
    """How a state vector becomes one token."""

    frequencies: Frequencies = 0
    """Fourier frequencies per dimension, which sharpen small differences; 0: only the normalized values."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "policy.states.proprioception")

    def build(self, statistics: VectorStatistics, width: int) -> "VectorTokenizer":
        """Build the tokenizer of one state vector."""
        return VectorTokenizer(self, statistics, width)


class VectorTokenizer(nn.Module):
    """Tokenizer of one state vector: normalize, optionally add Fourier features, then apply a two-layer MLP."""

    mean: Tensor
    std: Tensor
    low: Tensor
    range: Tensor

    def __init__(self, config: ProprioceptionConfig, statistics: VectorStatistics, width: int) -> None:
        """Build the MLP.

        Args:
            config: Number of Fourier frequencies.
            statistics: Statistics of this vector; they are saved with the policy's statistics, not with its weights.
            width: Width of a token and of the MLP.
        """
        super().__init__()
        self.frequencies = config.frequencies
        span = statistics.max - statistics.min
        self.register_buffer("mean", statistics.mean.clone(), persistent=False)
        self.register_buffer("std", statistics.std.clone(), persistent=False)
        self.register_buffer("low", statistics.min.clone(), persistent=False)
        # A constant dimension has no range to divide by.
        self.register_buffer("range", torch.where(span > 0, span, 1.0), persistent=False)
        features = len(statistics.mean) * (1 + 2 * config.frequencies)
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, vectors: Float[Tensor, "*batch _"]) -> Float[Tensor, "*batch D"]:
        """Return one token per vector."""
        normalized = (vectors - self.mean) / self.std
        if self.frequencies:
            scaled = 2 * (vectors - self.low) / self.range - 1
            normalized = torch.cat([normalized, fourier_features(scaled, self.frequencies)], dim=-1)
        return self.mlp(normalized)


def fourier_features(values: Float[Tensor, "*batch n"], frequencies: int) -> Float[Tensor, "*batch m"]:
    """Return sin and cos of `values * pi * 2**k` for k below `frequencies`, for values in [-1, 1].

    Source: Mildenhall et al. 2020, NeRF, equation 4.
    """
    octaves = math.pi * 2.0 ** torch.arange(frequencies, device=values.device, dtype=values.dtype)
    angles = (values[..., None] * octaves).flatten(-2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
