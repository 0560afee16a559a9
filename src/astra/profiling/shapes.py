"""Sizes of a benchmark, and its results: ratios with their targets, and curves."""

from dataclasses import dataclass
from typing import Literal

from astra.storage.numbers import Count, Layers, Width, check_numbers


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of Astra (19M) and of one batch."""

    L: Count = 16
    """Prompt tokens."""
    M: Count = 4
    """State tokens per timestep."""
    N: Count = 7
    """Action tokens per timestep, and as many queries."""
    T: Count = 20
    """Timesteps."""
    B: Count = 16
    """Batch size."""
    layers: Layers = 6
    """Transformer blocks."""
    heads: Count = 8
    """Attention heads."""
    width: Width = 512
    """Width of a token."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range, or the heads do not divide the width; the message names the flag.
        """
        check_numbers(self, "")
        if self.width % self.heads:
            raise ValueError(f"--width must be a multiple of --heads {self.heads}, got {self.width}")

    @property
    def where(self) -> str:
        """Return the shape as text for a row."""
        return f"T{self.T} B{self.B}"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Row of a benchmark: the ratio of two measurements, with its targets."""

    name: str
    ratio: float | None
    """Ratio; None: inconclusive, because the machine was loaded."""
    must: float | None = None
    """Ratio that must be reached; None: the row is for reference only."""
    aim: float | None = None
    """Ratio that we aim at."""
    better: Literal["higher", "lower"] = "higher"

    @property
    def verdict(self) -> str:
        """Return the ratio's place relative to both targets, in words."""
        if self.ratio is None:
            return "inconclusive: the machine is loaded"
        if self.must is None or self.aim is None:
            return ""
        reached = [
            self.ratio >= goal if self.better == "higher" else self.ratio <= goal for goal in (self.must, self.aim)
        ]
        if all(reached):
            return "aim reached"
        goal = self.aim if reached[0] else self.must
        short = abs(self.ratio / goal - 1)
        return f"must reached, {short:.0%} off the aim" if reached[0] else f"missed by {short:.0%}"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Measurements over a growing size, to be drawn."""

    name: str
    sizes: list[int]
    values: list[float]
    unit: str
    highest: list[float] | None = None
    """99th percentiles where the values are medians; None: not measured."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Results of one benchmark."""

    ratios: list[Ratio]
    curves: list[Curve]
    notes: list[str]
    """Notes to print, such as what was not measured and why."""
