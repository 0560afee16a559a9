"""Actions as tokens, one per dimension: bins with an embedding each, or continuous values."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.trajectory import Statistics, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class DiscreteActionsConfig:
    """Every action dimension is cut into bins of equal width between its bounds."""

    bins: int = 100
    """Bins per dimension, K; a binary dimension has two. Not stated in the paper; VIMA has 50 to 100."""

    def __post_init__(self) -> None:
        """Check the number of bins.

        Raises:
            ValueError: if there are fewer than two.
        """
        if self.bins < 2:
            raise ValueError(f"discrete actions need at least 2 bins per dimension, got bins={self.bins}")

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "DiscreteActions":
        """Make the tokenizer; the bounds of the spec decide the bins, the statistics are not read."""
        return DiscreteActions(spec, self.bins, width)


class DiscreteActions(nn.Module):
    """Action tokens from bins: each dimension has its own bins and its own embedding of each bin.

    A value is decoded to the centre of its bin. A binary dimension has two bins, decoded to its two bounds.
    """

    low: Tensor
    high: Tensor
    counts: Tensor
    first_centre: Tensor
    bin_width: Tensor
    rows: Tensor

    def __init__(self, spec: TrajectorySpec, bins: int, width: int) -> None:
        """Make the bins and their embedding.

        Args:
            spec: tells the bounds and the binary dimensions.
            bins: bins per dimension that is not binary, K.
            width: width of a token.
        """
        super().__init__()
        self.num_tokens = len(spec.actions)
        self.num_bins = bins
        low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
        binary = torch.tensor(spec.actions.binary)
        counts = torch.where(binary, 2, bins)
        bin_width = (high - low) / torch.where(binary, 1, bins)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("bin_width", bin_width, persistent=False)
        self.register_buffer("first_centre", torch.where(binary, low, low + bin_width / 2), persistent=False)
        self.register_buffer("rows", counts.cumsum(0) - counts, persistent=False)
        num_rows = sum(2 if is_binary else bins for is_binary in spec.actions.binary)
        self.embedding = nn.Embedding(num_rows, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    @property
    def description(self) -> str:
        """Name the bins, for results."""
        return f"discrete, {self.num_bins} bins per dimension"

    @property
    def bin_exists(self) -> Bool[Tensor, "N K"]:
        """True where a dimension has the bin: all of them, or the first two of a binary dimension."""
        return torch.arange(self.num_bins, device=self.counts.device) < self.counts[:, None]

    def bins(self, actions: Float[Tensor, "*batch N"]) -> Int[Tensor, "*batch N"]:
        """Give the bin of every value; a value outside the bounds falls into the bin at the edge."""
        share = (actions - self.low) / (self.high - self.low)
        return (share.clamp(0, 1) * self.counts).long().minimum(self.counts - 1)

    def centres(self, bins: Int[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the value in the middle of every bin, in the environment's own units."""
        return self.first_centre + bins * self.bin_width

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Give one token per dimension of every action."""
        return self.embedding(self.bins(actions) + self.rows)


@dataclass(frozen=True, kw_only=True)
class ContinuousActionsConfig:
    """Every action dimension is a normalised number; a binary dimension is 0 or 1."""

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "ContinuousActions":
        """Make the tokenizer."""
        return ContinuousActions(spec, statistics, width)


class ContinuousActions(nn.Module):
    """Action tokens from normalised values: a learned direction times the value plus a learned offset."""

    low: Tensor
    high: Tensor
    binary: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> None:
        """Make the embedding.

        Args:
            spec: tells the bounds and the binary dimensions.
            statistics: mean and standard deviation of the actions.
            width: width of a token.
        """
        super().__init__()
        self.num_tokens = N = len(spec.actions)
        low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
        binary = torch.tensor(spec.actions.binary)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("binary", binary, persistent=False)
        self.register_buffer("shift", torch.where(binary, low, statistics.actions.mean), persistent=False)
        self.register_buffer("scale", torch.where(binary, high - low, statistics.actions.std), persistent=False)
        self.direction = nn.Parameter(torch.empty(N, width).normal_(std=0.02))
        self.offset = nn.Parameter(torch.empty(N, width).normal_(std=0.02))

    @property
    def description(self) -> str:
        """Name the kind, for results."""
        return "continuous, normalised"

    def normalise(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the values that are learned: zero mean and unit deviation, or 0 and 1 where a dimension is binary."""
        values = (actions - self.shift) / self.scale
        return torch.where(self.binary, (values >= 0.5).to(values.dtype), values)

    def denormalise(self, values: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the actions within their bounds; a binary dimension takes its upper bound from 0.5 on."""
        values = torch.where(self.binary, (values >= 0.5).to(values.dtype), values)
        return (values * self.scale + self.shift).clamp(self.low, self.high)

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Give one token per dimension of every action."""
        return self.normalise(actions)[..., None] * self.direction + self.offset
