"""Tokens, mask and inputs of the trunk, for a batch of whole trajectories."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from astra.attention.kernels.layout import SharedPrompt
from astra.attention.kernels.row_blocks import RowBlock
from astra.attention.segments import TokenIds


@dataclass(frozen=True, kw_only=True)
class PromptTokens:
    """The P distinct prompts of a batch."""

    tokens: Float[Tensor, "P L D"]
    valid: Bool[Tensor, "P L"]
    """True for real tokens, False for padding."""
    index: Int[Tensor, " B"]
    """Prompt of each trajectory, a row of `tokens`."""


@dataclass(frozen=True, kw_only=True)
class SequenceTokens:
    """Tokens of a batch, before positions are added."""

    prompts: PromptTokens
    context: Float[Tensor, "B context D"]
    """State and action tokens of all timesteps."""
    context_valid: Bool[Tensor, "B context"]
    """True for real tokens, False for padding and hidden objects."""
    queries: Float[Tensor, "computed D"]
    """Action queries that are computed at a timestep; all timesteps and trajectories share them."""
    query_slots: Int[Tensor, " computed"]
    """Place of each of them inside its segment."""
    query_timesteps: Int[Tensor, " B"] | None
    """Timestep of each trajectory whose queries are computed; None for all timesteps."""
    num_queries: int
    """Q, queries of a whole query segment, whether they are computed or not."""
    num_timesteps: int
    """T, timesteps with a state."""
    num_actions: int
    """Timesteps with an action segment in the context: T, T - 1 or 0."""

    def computed_rows(self, C: int) -> Int[Tensor, "*B R"]:
        """Return the rows that are computed: those of the context, then those of the queries, numbered by timestep."""
        context = torch.arange(C, device=self.query_slots.device)
        if self.query_timesteps is None:
            timesteps = torch.arange(self.num_timesteps, device=context.device)[:, None]
            return torch.cat([context, (C + self.num_queries * timesteps + self.query_slots).flatten()])
        queries = C + self.num_queries * self.query_timesteps[:, None] + self.query_slots
        return torch.cat([context.expand(len(queries), -1), queries], dim=1)


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
