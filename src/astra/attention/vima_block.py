"""VIMA's self-attention block: the first GPT's, with norms behind each half, and a gated feed-forward.

It keeps the protocol of `astra.attention.layers.Block`, so that the same transformer and the same cache run it. Its
output is normalised already; no final norm follows.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.layers import Attention, Kernel, drop


class GatedFeedForward(nn.Module):
    """GEGLU: GELU of one linear layer times another, four times as wide in between; 12 D^2 weights.

    Source: Shazeer 2020, GLU variants improve Transformer; the gate has no bias, as VIMA's counts say.
    """

    def __init__(self, width: int, *, bias: bool = True) -> None:
        """Make the layers, with 5 D biases or none; weights are initialised by the transformer."""
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.gate = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Transform every token by itself."""
        return self.down(F.gelu(self.up(x)) * self.gate(x))


class VimaBlock(nn.Module):
    """One post-LN block of the first GPT, with GEGLU: 16 D^2 + 13 D parameters.

    Source: Radford et al. 2018 (the block); Jiang et al. 2023, VIMA. Ten of them at D = 512 are the 42.0M of Decision
    Transformer and Gato in Table 1.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make the layers; weights are initialised by the transformer."""
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = GatedFeedForward(width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = dropout

    def forward(
        self, rows: Float[Tensor, "R D"], num_read: int, kernel: Kernel, *, first: int = 0
    ) -> Float[Tensor, "R2 D"]:
        """Attend and transform; only the rows from `first` on are computed and come out."""
        read = self.attention(rows, num_read, kernel, first=first)
        rows = self.attention_norm((rows[first:] if first else rows) + self._drop(read))
        return self.feed_forward_norm(rows + self._drop(self.feed_forward(rows)))

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout) if self.training and self.dropout else x
