"""Several tokens made one: a whole state, or a whole action, as a single token."""

from jaxtyping import Bool, Float
from torch import Tensor, nn


class MergedTokens(nn.Module):
    """The tokens of a segment side by side through a linear layer; one that is not real counts as zeros."""

    def __init__(self, num_tokens: int, width: int) -> None:
        """Make the layer for segments of so many tokens."""
        super().__init__()
        self.layer = nn.Linear(num_tokens * width, width)

    def forward(
        self, tokens: Float[Tensor, "*batch M D"], valid: Bool[Tensor, "*batch M"] | None = None
    ) -> Float[Tensor, "*batch 1 D"]:
        """Give one token per segment."""
        real = tokens if valid is None else tokens * valid[..., None]
        return self.layer(real.flatten(-2))[..., None, :]
