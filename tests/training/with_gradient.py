"""The part of a weight that a loss determines."""

import torch


def with_gradient(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Leave out key biases: they shift all scores of a query alike, so their gradient is rounding error."""
    if not name.endswith("qkv.bias"):
        return weight
    query, _, value = weight.chunk(3)
    return torch.cat([query, value])
