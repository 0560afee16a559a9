"""The GPT-2 block in its split form: keys and values of the context only, queries that only read.

A sequence is laid out as rows: first the C tokens of the context, then the action queries.
Queries are projected to Q alone; nobody reads them, so they have no keys and no values. All rows share one call of
attention, one output projection and one feed-forward.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Remember = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Takes the keys and values of new tokens, gives those of all tokens that may be read (with a prompt, from a cache)."""


class Attention(nn.Module):
    """Multi-head self-attention with one QKV product for the context and a Q product for the queries."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make the projections; weights are initialised by the transformer.

        Raises:
            ValueError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"the number of heads must divide the width, got {heads} heads and width {width}")
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def project(
        self, rows: Float[Tensor, "B R D"], num_context: int, *, context_reads: bool
    ) -> tuple[Float[Tensor, "B H R2 d"], Float[Tensor, "B H C d"], Float[Tensor, "B H C d"]]:
        """Make Q of the rows that read, and K and V of the context."""
        width = self.out.in_features
        context, queries = rows[:, :num_context], rows[:, num_context:]
        if context_reads:
            q, keys, values = self.qkv(context).split(width, dim=-1)
            if queries.shape[1]:
                q = torch.cat([q, F.linear(queries, self.qkv.weight[:width], self.qkv.bias[:width])], dim=1)
        else:
            q = F.linear(queries, self.qkv.weight[:width], self.qkv.bias[:width])
            keys, values = F.linear(context, self.qkv.weight[width:], self.qkv.bias[width:]).split(width, dim=-1)
        return self._by_head(q), self._by_head(keys), self._by_head(values)

    def forward(
        self,
        rows: Float[Tensor, "B R D"],
        num_context: int,
        mask: Float[Tensor, "#B #H R2 C2"],
        *,
        context_reads: bool = True,
        remember: Remember | None = None,
    ) -> Float[Tensor, "B R2 D"]:
        """Read the context, and what is remembered besides, by an additive mask."""
        q, keys, values = self.project(rows, num_context, context_reads=context_reads)
        if remember is not None:
            keys, values = remember(keys, values)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def weights(
        self, rows: Float[Tensor, "B R D"], num_context: int, mask: Float[Tensor, "#B #H R C2"], remember: Remember
    ) -> Float[Tensor, "B H R C2"]:
        """Compute how much each row reads of each token, to be looked at."""
        q, keys, values = self.project(rows, num_context, context_reads=True)
        keys, _ = remember(keys, values)
        return torch.softmax(q @ keys.mT / q.shape[-1] ** 0.5 + mask, dim=-1)

    def _by_head(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B H S d"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers, four times as wide in between.

    Deviation: exact (erf) GELU; GPT-2 has its tanh approximation, which costs three times as much on a CPU.
    """

    def __init__(self, width: int) -> None:
        """Make the layers; weights are initialised by the transformer."""
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        """Transform every token by itself."""
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    """One pre-LN GPT-2 block: 12 D^2 + 13 D parameters. Source: the counts in appendix A.10 and A.11."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make the layers; weights are initialised by the transformer."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        rows: Float[Tensor, "B R D"],
        num_context: int,
        mask: Float[Tensor, "#B #H R2 C2"],
        *,
        context_reads: bool = True,
        remember: Remember | None = None,
    ) -> Float[Tensor, "B R2 D"]:
        """Attend and transform; with `context_reads=False` only the queries come out."""
        normed = self.attention_norm(rows)
        read = self.attention(normed, num_context, mask, context_reads=context_reads, remember=remember)
        rows = (rows if context_reads else rows[:, num_context:]) + self.dropout(read)
        return rows + self.dropout(self.feed_forward(self.feed_forward_norm(rows)))
