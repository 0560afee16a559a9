"""What the rollouts of all policies have in common: instructions, seeds, and the generators from which they sample."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor


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
