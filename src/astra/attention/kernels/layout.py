"""Layout of a batch: all tokens of all trajectories are rows of one matrix.

    prompt 1, ..., prompt P | context 1, ..., context B | queries 1, ..., queries B
    --- rows with keys and values (keyed rows) ---------|

Everything that works token by token is then one matrix product. A kernel cuts Q, keys and values apart again.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class SharedPrompt:
    """Distinct prompts of a batch, each encoded once; `split_mask` checks that a prompt attends only to itself."""

    tokens: Float[Tensor, "P L D"]
    """Prompt tokens with their positions."""
    mask: Float[Tensor, "#P #H L L"]
    """Additive mask inside a prompt."""
    of: Int[Tensor, " B"] | None
    """Index of each trajectory's prompt; None if trajectory b has prompt b."""


@dataclass(frozen=True)
class Rows:
    """Numbers of rows of a batch."""

    prompts: int
    """Number of distinct prompts, P."""
    prompt: int
    """Tokens of one prompt, L."""
    batch: int
    """Number of trajectories, B."""
    context: int
    """Tokens of one context."""
    queries: int
    """Queries of one trajectory, Q."""

    @property
    def of_prompts(self) -> int:
        """Number of rows of all prompts."""
        return self.prompts * self.prompt

    @property
    def of_contexts(self) -> int:
        """Number of rows of all contexts."""
        return self.batch * self.context

    @property
    def of_queries(self) -> int:
        """Number of rows of all queries."""
        return self.batch * self.queries

    @property
    def keyed(self) -> int:
        """Number of rows with keys and values: prompts and contexts."""
        return self.of_prompts + self.of_contexts


@dataclass(frozen=True)
class Parts:
    """Q, keys and values of one layer, cut into prompts, contexts and queries."""

    q_prompt: Float[Tensor, "P L D"] | None
    """None in a last layer that does not need the prompts' outputs."""
    q_context: Float[Tensor, "B R D"] | None
    """None in a last layer that needs the queries' outputs only."""
    q_queries: Float[Tensor, "B Q D"] | None
    """None if there are no queries."""
    prompt: Float[Tensor, "P L D2"]
    """Keys and values of prompts, side by side."""
    context: Float[Tensor, "B R D2"]
    """Keys and values of contexts, side by side."""

    @classmethod
    def cut(cls, rows: Rows, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> "Parts":
        """Cut what a kernel receives; `q_keyed` may lack the prompts."""
        prompt, context = keys_values.split([rows.of_prompts, rows.of_contexts])
        q_prompt, q_context = None, q_keyed
        if q_keyed is not None and len(q_keyed) == rows.keyed:
            q_prompt, q_context = q_keyed.split([rows.of_prompts, rows.of_contexts])
        return cls(
            q_prompt=None if q_prompt is None else q_prompt.unflatten(0, (rows.prompts, rows.prompt)),
            q_context=None if q_context is None else q_context.unflatten(0, (rows.batch, rows.context)),
            q_queries=None if q_queries is None else q_queries.unflatten(0, (rows.batch, rows.queries)),
            prompt=prompt.unflatten(0, (rows.prompts, rows.prompt)),
            context=context.unflatten(0, (rows.batch, rows.context)),
        )

    def columns(self, of: Int[Tensor, " B"] | None) -> Float[Tensor, "B S D2"]:
        """Return the keys and values of each trajectory: those of its prompt, then those of its context."""
        return torch.cat([self.prompt if of is None else self.prompt[of], self.context], dim=1)
