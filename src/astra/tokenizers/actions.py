"""Actions as tokens, one per dimension: discrete bins with an embedding each, or continuous values."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention.initialization import init_std
from astra.storage.numbers import Frequencies, Positive, check_numbers
from astra.tokenizers.bin_values import ValueEmbedding
from astra.trajectory import TAIL, ActionSpec, Statistics, TrajectorySpec

STRETCHED = 3.0
"""Width of a range, compared with that of 99.8 % of its values, from which on outliers are reported."""
FEW = 10
"""Number of actions from which on outliers are looked for."""
MAX_BINS = 100_000
"""Largest number of bins of a dimension."""
DEFAULT_BINS = 100
"""Default number of bins of a dimension. Not stated in the paper; VIMA has 50 to 100."""


@dataclass(frozen=True, kw_only=True)
class DiscreteActionsConfig:
    """Discrete actions: every dimension is divided into bins of equal width between two bounds."""

    bins: int | tuple[int, ...] | None = None
    """Bins per dimension, one number for all or one for each; None: the benchmark's, or 100 if it has none. A binary
    dimension has two."""
    range: Literal["bounds", "quantiles"] = "bounds"
    """Bounds of the bins: those of the data; or quantiles, between which 99.8 % of the values lie, so that a few
    outliers do not widen every bin. Values beyond go to the outermost bins. Binary and periodic dimensions keep the
    bounds of the data. Deviation: the paper does not say."""
    head_frequencies: Frequencies = 0
    """Fourier frequencies of a bin's position, by which heads score bins, so that neighboring bins share what they
    learn; 0: every bin is learned separately. Deviation: the paper has linear heads."""
    head_scaled: bool = False
    """Whether these features are divided by sqrt(2 F), so that heads start near the uniform distribution. Deviation:
    as above."""
    token_frequencies: Frequencies = 0
    """Fourier frequencies of a bin's position, from which an MLP makes the tokens of past actions, so that neighboring
    bins have similar tokens; 0: every bin has an embedding of its own. Deviation: the paper embeds every bin."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if there are fewer than two bins, or a number of frequencies is negative.
        """
        check_numbers(self, "policy.actions")
        numbers = self.bins if isinstance(self.bins, tuple) else (2 if self.bins is None else self.bins,)
        if not numbers or not all(2 <= number <= MAX_BINS for number in numbers):
            raise ValueError(f"discrete actions need at least 2 bins per dimension, got bins={self.bins}")

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "DiscreteActions":
        """Build the tokenizer; the spec's bounds decide the bins, the statistics which dimensions are constant.

        Raises:
            ValueError: if the number of entries in `bins` is not the number of dimensions, or there are no quantiles.
        """
        return DiscreteActions(self, spec, statistics, width)


class DiscreteActions(nn.Module):
    """Tokenizer of discrete actions: each dimension has its own bins, and each bin its token.

    A value is decoded to the center of its bin. A binary dimension has two bins, decoded to its two bounds. A value of
    a periodic dimension is first wrapped between its bounds: the bin after the last one is the first.
    """

    names: tuple[str, ...]
    """Names of the dimensions."""
    low: Tensor
    high: Tensor
    counts: Tensor
    first_center: Tensor
    bin_width: Tensor
    rows: Tensor
    binary: Tensor
    periodic: Tensor
    varies: Tensor
    only_bin: Tensor

    def __init__(self, config: DiscreteActionsConfig, spec: TrajectorySpec, statistics: Statistics, width: int) -> None:
        """Build the bins and their embedding.

        Args:
            config: Number of bins, and Fourier features of the head.
            spec: Bounds, and which dimensions are binary or periodic.
            statistics: Statistics of the actions, which show the constant dimensions.
            width: Width of a token.

        Raises:
            ValueError: if the number of entries in `bins` is not the number of dimensions, or there are no quantiles.
        """
        super().__init__()
        self.num_tokens = N = len(spec.actions)
        self.names = spec.actions.names
        self.head_frequencies = config.head_frequencies
        self.head_scale = (
            (2 * config.head_frequencies) ** -0.5 if config.head_scaled and config.head_frequencies else 1.0
        )
        numbers = _bins_per_dimension(config, spec)
        self.num_bins, self.total_bins = max(numbers), sum(numbers)
        low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
        binary, counts = torch.tensor(spec.actions.binary), torch.tensor(numbers)
        if config.range == "quantiles":
            low, high = _quantile_bounds(low, high, spec.actions, statistics)
        bin_width = (high - low) / torch.where(binary, 1, counts)
        first_center = torch.where(binary, low, low + bin_width / 2)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("bin_width", bin_width, persistent=False)
        self.register_buffer("first_center", first_center, persistent=False)
        self.register_buffer("rows", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("binary", binary, persistent=False)
        self.register_buffer("periodic", torch.tensor(spec.actions.periodic), persistent=False)
        self.register_buffer("varies", torch.tensor(varying(statistics, spec.actions)), persistent=False)
        self.register_buffer("only_bin", torch.zeros(N, dtype=torch.long), persistent=False)
        self.only_bin = self.bins(statistics.actions.mean.to(low.device, low.dtype))
        if config.token_frequencies:
            self.embedding = ValueEmbedding(numbers, self.periodic, config.token_frequencies, width)
        else:
            self.embedding = nn.Embedding(self.total_bins, width)
            nn.init.normal_(self.embedding.weight, std=init_std(width))

    @property
    def description(self) -> str:
        """Description of the bins, for results."""
        numbers = sorted(set(self.counts.tolist()))
        return f"discrete, {' or '.join(map(str, numbers))} bins per dimension"

    @property
    def bin_exists(self) -> Bool[Tensor, "N K"]:
        """True where a dimension has the bin; dimensions with fewer than K bins have only the first of them."""
        return torch.arange(self.num_bins, device=self.counts.device) < self.counts[:, None]

    @property
    def bin_possible(self) -> Bool[Tensor, "N K"]:
        """True where a policy may choose the bin; a constant dimension allows only the bin found in the data."""
        numbers = torch.arange(self.num_bins, device=self.counts.device)
        return self.bin_exists & (self.varies[:, None] | (numbers == self.only_bin[:, None]))

    def bins(self, actions: Float[Tensor, "*batch N"]) -> Int[Tensor, "*batch N"]:
        """Return the bin of every value; a value outside the bounds goes to the bin at the edge, or wraps around."""
        share = (actions - self.low) / (self.high - self.low)
        share = torch.where(self.periodic, share % 1, share.clamp(0, 1))
        return (share * self.counts).long().minimum(self.counts - 1)

    def centers(self, bins: Int[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Return the center of every bin, in the environment's units."""
        return self.first_center + bins * self.bin_width

    def outliers(self, actions: Float[Tensor, "n N"]) -> dict[int, str]:
        """Describe the dimensions whose bins lie much farther apart than 99.8 % of the values do, by their numbers.

        Args:
            actions: All actions of the training episodes.
        """
        if len(actions) < FEW:
            return {}
        values, found = actions.cpu().numpy(), dict[int, str]()
        below = np.quantile(values, TAIL, axis=0, method="higher").tolist()
        above = np.quantile(values, 1 - TAIL, axis=0, method="lower").tolist()
        bins = self.bins(actions.to(self.low)).cpu()
        counts = self.counts.cpu()
        outermost = ((bins == 0) | (bins == counts - 1)).double().mean(dim=0).tolist()
        for n, name in enumerate(self.names):
            span, whole = above[n] - below[n], float(self.high[n] - self.low[n])
            least, most = float(values[:, n].min()), float(values[:, n].max())
            by_data = most - least > STRETCHED * span  # and not by declared bounds alone
            if not (self.binary[n] or self.periodic[n]) and by_data and whole > STRETCHED * span > 0:
                inside = (actions[:, n].cpu() >= below[n]) & (actions[:, n].cpu() <= above[n])
                used = int(bins[inside, n].max() - bins[inside, n].min()) + 1
                found[n] = (
                    f"action dimension {name!r} has outliers: its values lie between {least:g} and {most:g}, but "
                    f"99.8 % of them between {below[n]:g} and {above[n]:g}, where {used} of {int(counts[n])} bins are "
                    f"left for them, and {outermost[n]:.1%} of all values lie in the two outermost bins. Repair the "
                    f"data, or train with --policy.actions.range quantiles"
                )
        return found

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Return one token per dimension of every action."""
        return self.embedding(self.bins(actions) + self.rows)


def _quantile_bounds(
    low: Float[Tensor, " N"], high: Float[Tensor, " N"], actions: ActionSpec, statistics: Statistics
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Replace the bounds by quantiles of the data, except in binary, periodic and nearly constant dimensions."""
    below, above = statistics.actions.low_quantile, statistics.actions.high_quantile
    if below is None or above is None:
        raise ValueError(
            "actions.range='quantiles' needs the quantiles of the data, but the statistics have none: compute them "
            "from at least 10 timesteps with this version of Astra, or set actions.range to bounds"
        )
    kept = torch.tensor(actions.binary) | torch.tensor(actions.periodic) | (above <= below)
    return torch.where(kept, low, below), torch.where(kept, high, above)


def _bins_per_dimension(config: DiscreteActionsConfig, spec: TrajectorySpec) -> list[int]:
    """Return the number of bins of each dimension."""
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
            f"{', '.join(spec.actions.names)}; expected one number, or one for each dimension"
        )
    return [2 if is_binary else number for number, is_binary in zip(numbers, spec.actions.binary, strict=True)]


def varying(statistics: Statistics, actions: ActionSpec) -> list[bool]:
    """Return which action dimensions vary in the data, by more than a ten-thousandth of their range.

    A constant dimension, such as two of the four numbers of a quaternion on a table, is learned at once by every
    policy. In a loss it would lower the mean and hide the progress of the others, so losses ignore it. Decoding returns
    its value if actions are continuous, and the center of its bin if they are discrete.
    """
    span = (statistics.actions.max - statistics.actions.min).tolist()
    return [s > 1e-4 * (high - low) for s, low, high in zip(span, actions.low, actions.high, strict=True)]


@dataclass(frozen=True, kw_only=True)
class ContinuousActionsConfig:
    """Continuous actions: every dimension is a normalized number; a binary dimension is 0 or 1."""

    quadratic_below: Positive = 0.1
    """Error, in standard deviations, below which the loss grows with its square; above, it grows linearly. With a small
    value the policy predicts about the median of the demonstrated actions, with a large one their mean."""
    loss: Literal["smooth-l1", "huber"] = "smooth-l1"
    """Scale of the loss: smooth-l1 has the slope 1 above `quadratic_below`; huber is half the squared error below it,
    so that a large `quadratic_below` does not make it small beside the cross-entropy of binary dimensions."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "policy.actions")

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "ContinuousActions":
        """Build the tokenizer."""
        return ContinuousActions(self, spec, statistics, width)


class ContinuousActions(nn.Module):
    """Tokenizer of continuous actions: a learned direction times the normalized value, plus a learned offset."""

    low: Tensor
    high: Tensor
    binary: Tensor
    periodic: Tensor
    shift: Tensor
    scale: Tensor
    varies: Tensor
    mean: Tensor

    def __init__(
        self, config: ContinuousActionsConfig, spec: TrajectorySpec, statistics: Statistics, width: int
    ) -> None:
        """Build the embedding.

        Args:
            config: Kind of loss.
            spec: Bounds, and which dimensions are binary or periodic.
            statistics: Mean and standard deviation of the actions.
            width: Width of a token.
        """
        super().__init__()
        self.config = config
        self.num_tokens = N = len(spec.actions)
        low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
        binary = torch.tensor(spec.actions.binary)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("binary", binary, persistent=False)
        self.register_buffer("periodic", torch.tensor(spec.actions.periodic), persistent=False)
        self.register_buffer("shift", torch.where(binary, low, statistics.actions.mean), persistent=False)
        self.register_buffer("scale", torch.where(binary, high - low, statistics.actions.std), persistent=False)
        self.register_buffer("varies", torch.tensor(varying(statistics, spec.actions)), persistent=False)
        self.register_buffer("mean", statistics.actions.mean.clone(), persistent=False)
        self.direction = nn.Parameter(torch.empty(N, width).normal_(std=init_std(width)))
        self.offset = nn.Parameter(torch.empty(N, width).normal_(std=init_std(width)))

    @property
    def description(self) -> str:
        """Description of the tokenizer, for results."""
        return "continuous, normalized"

    def normalize(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Return normalized values: zero mean and unit deviation, or 0 and 1 if a dimension is binary."""
        values = (actions - self.shift) / self.scale
        return torch.where(self.binary, (values >= 0.5).to(values.dtype), values)

    def denormalize(self, values: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Return actions within their bounds; a binary dimension takes its upper bound from 0.5 on, an angle wraps."""
        values = torch.where(self.binary, (values >= 0.5).to(values.dtype), values)
        actions = values * self.scale + self.shift
        inside = actions.clamp(self.low, self.high)
        around = self.low + (actions - self.low) % (self.high - self.low)
        return torch.where(self.periodic & (inside != actions), around, inside)

    def error(self, values: Float[Tensor, "*batch N"], targets: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Return normalized values minus their targets; in periodic dimensions, the shorter way around."""
        error, turn = values - targets, (self.high - self.low) / self.scale
        return torch.where(self.periodic, error - turn * torch.round(error / turn), error)

    def forward(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Return one token per dimension of every action."""
        return self.normalize(actions)[..., None] * self.direction + self.offset
