"""The GPT-2 block in its split form: keys and values of what is read only, queries that only read.

All rows of a batch lie in one matrix: first the tokens that are read (prompts and contexts), then the action queries.
Queries are projected to Q alone; nobody reads them, so they have no keys and no values. Everything that works token by
token is one product over all rows; who reads whom is left to a kernel.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@runtime_checkable
class Kernel(Protocol):
    """Mixes values by attention; it knows how the rows are laid out, and the mask."""

    def __call__(
        self, q_read: Float[Tensor, "_ D"] | None, q_queries: Float[Tensor, "_ D"] | None, keys_values: Tensor
    ) -> Float[Tensor, "_ D"]:
        """Give one row per row of Q: those of the tokens that are read, where they read, then those of the queries.

        Args:
            q_read: Q of all read tokens, of those behind the prompts, or of none.
            q_queries: Q of the action queries; None where there are none.
            keys_values: (tokens, 2 D), keys and values of all tokens that are read, side by side.
        """
        ...


class Attention(nn.Module):
    """Multi-head self-attention with one QKV product for what is read and a Q product for the queries."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the projections; weights are initialized by the transformer.

        Raises:
            ValueError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"the number of heads must divide the width, got {heads} heads and width {width}")
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, rows: Float[Tensor, "R D"], num_read: int, kernel: Kernel, *, first: int = 0
    ) -> Float[Tensor, "R2 D"]:
        """Give what the rows from `first` on read; the first `num_read` of all rows are what is read."""
        width = self.out.in_features
        read, queries = rows.split([num_read, len(rows) - num_read])
        if first == 0:
            q_read, keys_values = self.qkv(read).split([width, 2 * width], dim=-1)
        else:
            q_read = self._project(read[first:], 0, 1) if first < num_read else None
            keys_values = self._project(read, 1, 3)
        q_queries = self._project(queries, 0, 1) if len(queries) else None
        return self.out(kernel(q_read, q_queries, keys_values))

    def _project(self, rows: Float[Tensor, "R D"], start: int, end: int) -> Float[Tensor, "R E"]:
        """Make some of Q, K and V, counted 0, 1, 2."""
        part = slice(start * self.out.in_features, end * self.out.in_features)
        return F.linear(rows, self.qkv.weight[part], self.qkv.bias[part])


class FeedForward(nn.Module):
    """Two linear layers, four times as wide in between.

    Deviation: exact (erf) GELU; GPT-2 has its tanh approximation, which costs three times as much on a CPU.
    """

    def __init__(self, width: int) -> None:
        """Make the layers; weights are initialized by the transformer."""
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Transform every token by itself."""
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    """One pre-LN GPT-2 block: 12 D^2 + 13 D parameters. Source: the counts in appendix A.10 and A.11."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make the layers; weights are initialized by the transformer."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width)
        self.dropout = dropout

    def forward(
        self, rows: Float[Tensor, "R D"], num_read: int, kernel: Kernel, *, first: int = 0
    ) -> Float[Tensor, "R2 D"]:
        """Attend and transform; only the rows from `first` on are computed and come out."""
        read = self.attention(self.attention_norm(rows), num_read, kernel, first=first)
        rows = (rows[first:] if first else rows) + self._drop(read)
        return rows + self._drop(self.feed_forward(self.feed_forward_norm(rows)))

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout) if self.training and self.dropout else x


def by_head(x: Float[Tensor, "B S D"], heads: int) -> Float[Tensor, "B H S d"]:
    """Cut the width into heads."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def keys_and_values(
    x: Float[Tensor, "B S D2"], heads: int
) -> tuple[Float[Tensor, "B H S d"], Float[Tensor, "B H S d"]]:
    """Cut keys and values that lie side by side into heads."""
    keys, values = x.unflatten(-1, (2, heads, -1)).unbind(2)
    return keys.transpose(1, 2), values.transpose(1, 2)


def attend(
    q: Float[Tensor, "B R D"], keys_values: Float[Tensor, "B S D2"], mask: Tensor, *, heads: int, dropout: float
) -> Float[Tensor, "B R D"]:
    """Let rows read by an additive mask: in PyTorch's fused attention, or by explicit weights to drop some of them."""
    keys, values = keys_and_values(keys_values, heads)
    if dropout:
        scores = (by_head(q, heads) / values.shape[-1] ** 0.5) @ keys.mT + mask
        mixed = drop(torch.softmax(scores, dim=-1), dropout) @ values
    else:
        mixed = F.scaled_dot_product_attention(by_head(q, heads), keys, values, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def drop(x: Float[Tensor, "*shape"], share: float) -> Float[Tensor, "*shape"]:
    """Drop a share of entries, to the nearest 1/65536, and scale up the others.

    On a CPU PyTorch draws a whole random number per entry, which costs more than the products beside it; here each
    number of 64 bits serves four entries.
    """
    if x.device.type != "cpu":
        return F.dropout(x, share)
    limit = round(share * 2**16)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= limit - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - limit / 2**16))


def cat(parts: "list[Tensor] | tuple[Tensor, ...]", dim: int) -> Tensor:
    """Concatenate, without a copy where there is nothing to join."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim)
