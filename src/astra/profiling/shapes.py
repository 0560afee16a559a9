"""What is measured: the sizes of Astra (19M), and the rows of the table with what they must and should reach."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of Astra (19M) and of one batch."""

    L: int = 16
    """Prompt tokens."""
    M: int = 4
    """State tokens per timestep."""
    N: int = 7
    """Action tokens, and queries, per timestep."""
    T: int = 20
    """Timesteps."""
    B: int = 16
    """Batch."""
    layers: int = 6
    """Transformer blocks."""
    heads: int = 8
    """Attention heads."""
    width: int = 512
    """Width of a token."""

    @property
    def where(self) -> str:
        """Name the shape in a row."""
        return f"T{self.T} B{self.B}"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One row: how many times better or worse than something else."""

    name: str
    ratio: float | None
    """None: inconclusive."""
    must: float | None = None
    """None: no target, a reference only."""
    aim: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def verdict(self) -> str:
        """Tell how the ratio stands to both targets."""
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
    """Something measured over a growing size, to be drawn."""

    name: str
    sizes: list[int]
    values: list[float]
    unit: str
    highest: list[float] | None = None
    """99th percentiles, where the values are medians."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one benchmark found."""

    ratios: list[Ratio]
    curves: list[Curve]
    notes: list[str]
    """What was left out, and why."""
