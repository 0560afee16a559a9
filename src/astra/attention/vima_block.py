"""VIMA's two blocks: self-attention as in the first GPT, and cross-attention to a prompt, both with GEGLU.

The first keeps the protocol of `astra.attention.layers.Block`, so that the same transformer and the same cache run it.
Its output is normalized already; no final norm follows.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.layers import Attention, Kernel, attend, drop


class GatedFeedForward(nn.Module):
    """GEGLU: GELU of one linear layer times another, four times as wide in between; 12 D^2 weights.

    Source: Shazeer 2020, GLU variants improve Transformer; the gate has no bias, as VIMA's counts say.
    """

    def __init__(self, width: int, *, bias: bool = True) -> None:
        """Make the layers, with 5 D biases or none; weights are initialized by the transformer."""
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
        """Make the layers; weights are initialized by the transformer."""
        super().__init__()
        self.attention = Attention(width, heads)
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


class CrossBlock(nn.Module):
    """Pre-LN attention to other tokens and a gated feed-forward, without biases: 16 D^2 + 4 D parameters.

    Source: Jiang et al. 2023, VIMA; Alayrac et al. 2022, Flamingo (the gates).
    Deviation: the gate of GEGLU reads what is normalized, as GEGLU's own paper has it; VIMA's reads what is not.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, gates: bool = False) -> None:
        """Make the layers; weights are initialized by whoever owns the block.

        Args:
            width: D.
            heads: Heads of attention; they must divide the width.
            dropout: Share of activations dropped in training.
            gates: Multiply what each half adds by the tanh of a learned number, at first 0.

        Raises:
            ValueError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"the number of heads must divide the width, got {heads} heads and width {width}")
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = GatedFeedForward(width, bias=False)
        self.gates = nn.Parameter(torch.zeros(2)) if gates else None

    def forward(
        self, x: Float[Tensor, "B R D"], keys_values: Float[Tensor, "B C D2"], mask: Float[Tensor, "#B #H #R C"]
    ) -> Float[Tensor, "B R D"]:
        """Attend to tokens whose keys and values `self.keys_values` has made, by an additive mask."""
        dropout = self.dropout if self.training else 0.0
        read = attend(self.q(self.norm(x)), keys_values, mask, heads=self.heads, dropout=dropout)
        x = x + self._passed(self.out(read), 0)
        return x + self._passed(self.feed_forward(self.feed_forward_norm(x)), 1)

    def _passed(self, x: Tensor, half: int) -> Tensor:
        if self.training and self.dropout:
            x = drop(x, self.dropout)
        return x if self.gates is None else self.gates[half].tanh() * x
