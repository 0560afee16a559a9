"""Mask and inputs of the trunk, for a batch of whole trajectories."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from astra.attention.kernels.layout import SharedPrompt
from astra.attention.kernels.row_blocks import RowBlock
from astra.attention.segments import TokenIds


@dataclass(frozen=True, kw_only=True)
class SequenceMask:
    """Mask of a batch: rows are context then queries, columns are prompt then context."""

    rows: TokenIds
    columns: TokenIds
    allowed: Bool[Tensor, "#B R S"]
    """True where the row may attend to the column."""
    row_blocks: tuple[RowBlock, ...]
    """Blocks of rows that can be computed separately."""


@dataclass(frozen=True, kw_only=True)
class ModelInputs:
    """Inputs of the trunk."""

    prompt: SharedPrompt
    context: Float[Tensor, "B context D"]
    queries: Float[Tensor, "B Q D"]
    """Action queries of all timesteps."""
    mask: Float[Tensor, "#B #H R S"]
    """Additive mask, with relative position biases."""
    rows: TokenIds
    columns: TokenIds
    row_blocks: tuple[RowBlock, ...]
