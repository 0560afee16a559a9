"""Actions as tokens, one per dimension: bins with an embedding each, or continuous values."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention.initialization import init_std
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec

DEFAULT_BINS = 100
"""Bins of a dimension for which nobody names a number. Not stated in the paper; VIMA has 50 to 100."""


@dataclass(frozen=True, kw_only=True)
class DiscreteActionsConfig:
    """Every action dimension is cut into bins of equal width between its bounds."""

    bins: int | tuple[int, ...] | None = None
    """Bins per dimension: one number for all or one for each; None: the benchmark's, or 100 where it names none. A
    binary dimension has two."""
    head_frequencies: int = 0
    """Fourier frequencies of the place of a bin by which heads score bins, so that near bins learn from each other; 0:
    every bin learns alone."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if there are fewer than two bins, or fewer than no frequencies.
        """
        numbers = self.bins if isinstance(self.bins, tuple) else (2 if self.bins is None else self.bins,)
        if not numbers or min(numbers) < 2:
            raise ValueError(f"discrete actions need at least 2 bins per dimension, got bins={self.bins}")
        if self.head_frequencies < 0:
            raise ValueError(f"head_frequencies must not be negative, got {self.head_frequencies}")

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "DiscreteActions":
        """Make the tokenizer; the bounds of the spec decide the bins, the statistics what is constant.

        Raises:
            ValueError: if there are not as many numbers of bins as dimensions.
        """
        return DiscreteActions(self, spec, statistics, width)


class DiscreteActions(nn.Module):
    """Action tokens from bins: each dimension has its own bins and its own embedding of each bin.

    A value is decoded to the center of its bin. A binary dimension has two bins, decoded to its two bounds. A value of
    a periodic dimension is first brought between its bounds: the bin after the last one is the first.
    """

    low: Tensor
    high: Tensor
    counts: Tensor
    first_center: Tensor
    bin_width: Tensor
    rows: Tensor
    periodic: Tensor
    varies: Tensor
    only_bin: Tensor

    def __init__(self, config: DiscreteActionsConfig, spec: TrajectorySpec, statistics: Statistics, width: int) -> None:
        """Make the bins and their embedding.

        Args:
            config: bins per dimension that is not binary, and what heads read.
            spec: tells the bounds, the binary and the periodic dimensions.
            statistics: tell which dimensions are constant in the data.
            width: width of a token.

        Raises:
            ValueError: if there are not as many numbers of bins as dimensions.
        """
        super().__init__()
        self.num_tokens = N = len(spec.actions)
        self.head_frequencies = config.head_frequencies
        numbers = _numbers_of_bins(config, spec)
        self.num_bins = max(numbers)
        low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
        binary, counts = torch.tensor(spec.actions.binary), torch.tensor(numbers)
        bin_width = (high - low) / torch.where(binary, 1, counts)
        first_center = torch.where(binary, low, low + bin_width / 2)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("bin_width", bin_width, persistent=False)
        self.register_buffer("first_center", first_center, persistent=False)
        self.register_buffer("rows", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("periodic", torch.tensor(spec.actions.periodic), persistent=False)
        self.register_buffer("varies", torch.tensor(varying(statistics, spec.actions)), persistent=False)
        self.register_buffer("only_bin", torch.zeros(N, dtype=torch.long), persistent=False)
        self.only_bin = self.bins(statistics.actions.mean.to(low.device, low.dtype))
        self.embedding = nn.Embedding(sum(numbers), width)
        nn.init.normal_(self.embedding.weight, std=init_std(width))

    @property
    def description(self) -> str:
        """Name the bins, for results."""
        numbers = sorted(set(self.counts.tolist()))
        return f"discrete, {' or '.join(map(str, numbers))} bins per dimension"

    @property
    def bin_exists(self) -> Bool[Tensor, "N K"]:
        """True where a dimension has the bin: the first of all bins, as many as it has."""
        return torch.arange(self.num_bins, device=self.counts.device) < self.counts[:, None]

    @property
    def bin_possible(self) -> Bool[Tensor, "N K"]:
        """True where a policy may choose the bin: of a constant dimension, only the one that the data shows."""
        numbers = torch.arange(self.num_bins, device=self.counts.device)
        return self.bin_exists & (self.varies[:, None] | (numbers == self.only_bin[:, None]))

    def bins(self, actions: Float[Tensor, "*batch N"]) -> Int[Tensor, "*batch N"]:
        """Give the bin of every value; a value outside the bounds falls into the bin at the edge, or wraps around."""
        share = (actions - self.low) / (self.high - self.low)
        share = torch.where(self.periodic, share % 1, share.clamp(0, 1))
        return (share * self.counts).long().minimum(self.counts - 1)

    def centers(self, bins: Int[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the value in the middle of every bin, in the environment's own units."""
        return self.first_center + bins * self.bin_width

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Give one token per dimension of every action."""
        return self.embedding(self.bins(actions) + self.rows)


def _numbers_of_bins(config: DiscreteActionsConfig, spec: TrajectorySpec) -> list[int]:
    """Give the number of bins per dimension."""
    N = len(spec.actions)
    match config.bins:
        case None:
            numbers = spec.actions.bins or (DEFAULT_BINS,) * N
        case int():
            numbers = (config.bins,) * N
        case _:
            numbers = config.bins
    if len(numbers) != N:
        raise ValueError(
            f"got {len(numbers)} numbers of bins, {numbers}, for the {N} action dimensions "
            f"{', '.join(spec.actions.names)}"
        )
    return [2 if is_binary else number for number, is_binary in zip(numbers, spec.actions.binary, strict=True)]


def varying(statistics: Statistics, actions: ActionSpec) -> list[bool]:
    """Tell which action dimensions vary in the data, by more than a ten-thousandth of their range.

    A constant dimension, such as two of the four numbers of a quaternion on a table, can be learned at once and by
    every policy. Counted in a loss it makes the mean look small and the learning of the others slow; so losses leave it
    out, and decoding gives its constant value.
    """
    span = (statistics.actions.max - statistics.actions.min).tolist()
    return [s > 1e-4 * (high - low) for s, low, high in zip(span, actions.low, actions.high, strict=True)]


@dataclass(frozen=True, kw_only=True)
class ContinuousActionsConfig:
    """Every action dimension is a normalized number; a binary dimension is 0 or 1."""

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "ContinuousActions":
        """Make the tokenizer."""
        return ContinuousActions(spec, statistics, width)


class ContinuousActions(nn.Module):
    """Action tokens from normalized values: a learned direction times the value plus a learned offset."""

    low: Tensor
    high: Tensor
    binary: Tensor
    shift: Tensor
    scale: Tensor
    varies: Tensor
    mean: Tensor

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
        self.register_buffer("varies", torch.tensor(varying(statistics, spec.actions)), persistent=False)
        self.register_buffer("mean", statistics.actions.mean.clone(), persistent=False)
        self.direction = nn.Parameter(torch.empty(N, width).normal_(std=init_std(width)))
        self.offset = nn.Parameter(torch.empty(N, width).normal_(std=init_std(width)))

    @property
    def description(self) -> str:
        """Name the kind, for results."""
        return "continuous, normalized"

    def normalize(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the values that are learned: zero mean and unit deviation, or 0 and 1 where a dimension is binary."""
        values = (actions - self.shift) / self.scale
        return torch.where(self.binary, (values >= 0.5).to(values.dtype), values)

    def denormalize(self, values: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the actions within their bounds; a binary dimension takes its upper bound from 0.5 on."""
        values = torch.where(self.binary, (values >= 0.5).to(values.dtype), values)
        return (values * self.scale + self.shift).clamp(self.low, self.high)

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Give one token per dimension of every action."""
        return self.normalize(actions)[..., None] * self.direction + self.offset
