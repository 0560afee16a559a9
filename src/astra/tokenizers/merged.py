"""One token for a whole segment: a whole state, or a whole action."""

from jaxtyping import Bool, Float
from torch import Tensor, nn


class MergedTokens(nn.Module):
    """Layer that concatenates the tokens of a segment and projects them to one; invalid tokens count as zeros."""

    def __init__(self, num_tokens: int, width: int) -> None:
        """Build the layer for segments of `num_tokens` tokens."""
        super().__init__()
        self.layer = nn.Linear(num_tokens * width, width)

    def forward(
        self, tokens: Float[Tensor, "*batch M D"], valid: Bool[Tensor, "*batch M"] | None = None
    ) -> Float[Tensor, "*batch 1 D"]:
        """Return one token per segment."""
        real = tokens if valid is None else tokens * valid[..., None]
        return self.layer(real.flatten(-2))[..., None, :]
