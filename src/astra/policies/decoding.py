"""How a trained policy acts: options, and the rollouts in which it acts."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from astra.storage.numbers import NotNegative, Tokens, check_numbers


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a trained policy acts; can be changed after training."""

    temperature: NotNegative = 0.0
    """Sampling temperature of the action bins; 0 takes one value of each distribution, without chance."""
    bin_value: Literal["mode", "mean"] = "mode"
    """Value that temperature 0 takes: the most likely bin, or the mean of all bins. Where demonstrations are noisy, the
    most likely bin jumps from timestep to timestep and the mean does not; where there are two ways to go on, the mean
    may be neither. Dimensions that are decoded one after the other see the most likely bins of those before. Dimensions
    of two values always take the likelier one. Deviation: the paper does not say."""
    n_action_steps: Tokens = 1
    """Actions of a chunk that are executed before the next chunk is predicted; at most the chunk size."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "policy.decoding")

    def check(self, chunk_size: int) -> None:
        """Check the options against the chunk size of a policy.

        Raises:
            ValueError: if more actions are to be executed than are predicted, or a mean is to be sampled.
        """
        if self.n_action_steps > chunk_size:
            raise ValueError(
                f"decoding.n_action_steps must lie between 1 and the chunk size {chunk_size}, got {self.n_action_steps}"
            )
        if self.temperature > 0 and self.bin_value == "mean":
            raise ValueError(
                f"decoding.bin_value=mean needs temperature 0: a temperature of {self.temperature} samples from the "
                f"bins"
            )


@dataclass(kw_only=True)
class Rollouts:
    """State of B rollouts, as far as all policies of Astra have it."""

    generators: list[torch.Generator]
    """Random generator of each environment."""


def check_start(instructions: Sequence[str], seeds: Sequence[int], known: Sequence[str]) -> None:
    """Check that every environment has an instruction and a seed, and warn of empty instructions.

    Args:
        instructions: One per environment.
        seeds: One per environment.
        known: Instructions of training.

    Raises:
        ValueError: if there are not as many of both, or the instructions are a single text.
    """
    if isinstance(instructions, str):
        raise ValueError(f"instructions must be a list with one text per environment, got a text: [{instructions!r}]")
    if len(instructions) != len(seeds):
        raise ValueError(
            f"every environment needs an instruction and a seed, got {len(instructions)} instructions and {len(seeds)} "
            "seeds"
        )
    if known and all(text.strip() for text in known) and not all(text.strip() for text in instructions):
        warnings.warn("an instruction is empty, and the policy was trained on none like it", stacklevel=3)


def seeded_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """Create one random generator per environment."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def reset_generators(generators: list[torch.Generator], where: Bool[Tensor, " B"], seeds: Sequence[int]) -> None:
    """Replace the generators of some environments; `seeds` holds one seed per replaced generator."""
    for env, generator in zip(where.nonzero()[:, 0].tolist(), seeded_generators(seeds), strict=True):
        generators[env] = generator
