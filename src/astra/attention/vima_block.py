"""VIMA's two blocks: self-attention as in the first GPT, and cross-attention to a prompt, both with GEGLU.

The first has the interface of `astra.attention.layers.Block`, so the same transformer and the same cache run it. Its
output is normalized already; no final norm follows.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.layers import Attention, Dropout, Kernel, attend


class GatedFeedForward(nn.Module):
    """GEGLU feed-forward layer: GELU of one linear layer times another, of width 4 D; 12 D^2 weights.

    Source: Shazeer 2020, GLU variants improve Transformer; the gate has no bias, which gives VIMA's parameter counts.
    """

    def __init__(self, width: int, *, bias: bool = True) -> None:
        """Build the layers, with 5 D biases or none; the transformer initializes the weights."""
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.gate = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Apply the layer to every token."""
        return self.down(F.gelu(self.up(x)) * self.gate(x))


class VimaBlock(nn.Module):
    """Post-LN block of the first GPT, with GEGLU: 16 D^2 + 13 D parameters.

    Source: Radford et al. 2018 (the block); Jiang et al. 2023, VIMA. Ten of them at D = 512 have the 42.0M parameters
    of Decision Transformer and Gato in Table 1.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Build the layers; the transformer initializes the weights."""
        super().__init__()
        self.attention = Attention(width, heads)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = GatedFeedForward(width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.drop = Dropout(dropout)

    def forward(
        self, rows: Float[Tensor, "R D"], num_keyed: int, kernel: Kernel, *, first: int = 0
    ) -> Float[Tensor, "R2 D"]:
        """Compute attention and feed-forward, for the rows from `first` on only."""
        mixed = self.attention(rows, num_keyed, kernel, first=first)
        rows = self.attention_norm((rows[first:] if first else rows) + self.drop(mixed))
        return self.feed_forward_norm(rows + self.drop(self.feed_forward(rows)))


class CrossBlock(nn.Module):
    """Pre-LN cross-attention and a gated feed-forward layer, without biases: 16 D^2 + 4 D parameters.

    Source: Jiang et al. 2023, VIMA; Alayrac et al. 2022, Flamingo (the gates).
    Deviation: the gate of GEGLU takes the normalized input, as in GEGLU's own paper; VIMA's takes the input before the
    norm.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, gates: bool = False) -> None:
        """Build the layers; the owner of the block initializes the weights.

        Args:
            width: D, the width of a token.
            heads: Attention heads; they must divide the width.
            dropout: Share of activations dropped in training.
            gates: Whether to multiply what each half adds by the tanh of a learned number, at first 0.

        Raises:
            ValueError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"the number of heads must divide the width, got {heads} heads and width {width}")
        self.heads, self.drop = heads, Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = GatedFeedForward(width, bias=False)
        self.gates = nn.Parameter(torch.zeros(2)) if gates else None

    def forward(
        self, x: Float[Tensor, "B R D"], keys_values: Float[Tensor, "B S D2"], mask: Float[Tensor, "#B #H #R S"]
    ) -> Float[Tensor, "B R D"]:
        """Attend to tokens whose keys and values come from `self.keys_values`, with an additive mask."""
        dropout = self.drop.share if self.training else 0.0
        mixed = attend(self.q(self.norm(x)), keys_values, mask, heads=self.heads, dropout=dropout)
        x = x + self._gated(self.out(mixed), 0)
        return x + self._gated(self.feed_forward(self.feed_forward_norm(x)), 1)

    def _gated(self, x: Tensor, half: int) -> Tensor:
        x = self.drop(x)
        return x if self.gates is None else self.gates[half].tanh() * x
