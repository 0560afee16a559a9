"""The GPT-2 block in its fast form: action queries have no keys and no values, because nothing attends to them.

All tokens of a batch are rows of one matrix: first the keyed rows (prompts and contexts, which have keys and values),
then the action queries, which have Q only. Everything that works token by token is one product over all rows; a kernel
computes the attention between them. The plain form is in `astra.attention.reference`.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@runtime_checkable
class Kernel(Protocol):
    """Attention between rows; a kernel knows the layout of the rows and the mask."""

    def __call__(
        self, q_keyed: Float[Tensor, "_ D"] | None, q_queries: Float[Tensor, "_ D"] | None, keys_values: Tensor, /
    ) -> Float[Tensor, "_ D"]:
        """Return one output per row of Q: keyed rows (if requested), then query rows.

        Args:
            q_keyed: Q of all keyed rows, or of the contexts only; None if their outputs are not needed.
            q_queries: Q of the action queries; None if there are none.
            keys_values: (keyed rows, 2 D), keys and values side by side.
        """
        ...


class Attention(nn.Module):
    """Multi-head self-attention: Q, K and V of keyed rows, and only Q of action queries."""

    def __init__(self, width: int, heads: int) -> None:
        """Build the projections; the transformer initializes the weights.

        Raises:
            ValueError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"the number of heads must divide the width, got {heads} heads and width {width}")
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, rows: Float[Tensor, "R D"], num_keyed: int, kernel: Kernel, *, first: int = 0
    ) -> Float[Tensor, "R2 D"]:
        """Return the outputs of the rows from `first` on; the first `num_keyed` of all rows have keys and values."""
        width = self.out.in_features
        keyed, queries = rows.split([num_keyed, len(rows) - num_keyed])
        if first == 0:
            q_keyed, keys_values = self.qkv(keyed).split([width, 2 * width], dim=-1)
        else:
            q_keyed = self._project(keyed[first:], 0, 1) if first < num_keyed else None
            keys_values = self._project(keyed, 1, 3)
        q_queries = self._project(queries, 0, 1) if len(queries) else None
        return self.out(kernel(q_keyed, q_queries, keys_values))

    def _project(self, rows: Float[Tensor, "R D"], start: int, end: int) -> Float[Tensor, "R E"]:
        """Compute parts `start` to `end` of Q, K and V, which count 0, 1, 2."""
        part = slice(start * self.out.in_features, end * self.out.in_features)
        return F.linear(rows, self.qkv.weight[part], self.qkv.bias[part])


class FeedForward(nn.Module):
    """Feed-forward layer of two linear layers, of width 4 D in between.

    Deviation: exact (erf) GELU; GPT-2 has the tanh approximation, which costs three times as much on a CPU.
    """

    def __init__(self, width: int) -> None:
        """Build the layers; the transformer initializes the weights."""
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Apply the layer to every token."""
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    """Pre-LN GPT-2 block: 12 D^2 + 13 D parameters. Source: the counts in appendix A.10 and A.11."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Build the layers; the transformer initializes the weights."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width)
        self.drop = Dropout(dropout)

    def forward(
        self, rows: Float[Tensor, "R D"], num_keyed: int, kernel: Kernel, *, first: int = 0
    ) -> Float[Tensor, "R2 D"]:
        """Compute attention and feed-forward, for the rows from `first` on only."""
        mixed = self.attention(self.attention_norm(rows), num_keyed, kernel, first=first)
        rows = (rows[first:] if first else rows) + self.drop(mixed)
        return rows + self.drop(self.feed_forward(self.feed_forward_norm(rows)))


def by_head(x: Float[Tensor, "B S D"], heads: int) -> Float[Tensor, "B H S d"]:
    """Split the width into heads."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def keys_and_values(
    x: Float[Tensor, "B S D2"], heads: int
) -> tuple[Float[Tensor, "B H S d"], Float[Tensor, "B H S d"]]:
    """Split keys and values that lie side by side, each into heads."""
    keys, values = x.unflatten(-1, (2, heads, -1)).unbind(2)
    return keys.transpose(1, 2), values.transpose(1, 2)


def attend(
    q: Float[Tensor, "B R D"], keys_values: Float[Tensor, "B S D2"], mask: Tensor, *, heads: int, dropout: float
) -> Float[Tensor, "B R D"]:
    """Compute attention with an additive mask: PyTorch's fused attention, or explicit weights to apply dropout."""
    keys, values = keys_and_values(keys_values, heads)
    if dropout:
        scores = (by_head(q, heads) / values.shape[-1] ** 0.5) @ keys.mT + mask
        mixed = drop(torch.softmax(scores, dim=-1), dropout) @ values
    else:
        mixed = F.scaled_dot_product_attention(by_head(q, heads), keys, values, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


class Dropout(nn.Module):
    """Dropout of activations in training."""

    def __init__(self, share: float) -> None:
        """Store the probability of dropping an entry."""
        super().__init__()
        self.share = share

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Drop entries; return them all when the policy acts."""
        return drop(x, self.share) if self.training and self.share else x


def drop(x: Float[Tensor, "*shape"], share: float) -> Float[Tensor, "*shape"]:
    """Drop a share of entries, to the nearest 1/65536, and scale up the others.

    On a CPU PyTorch draws one random number per entry, which costs more than the matrix products; here each number of
    64 bits serves four entries.
    """
    if x.device.type != "cpu":
        return F.dropout(x, share)
    limit = round(share * 2**16)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= limit - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - limit / 2**16))


def cat(parts: "list[Tensor] | tuple[Tensor, ...]", dim: int) -> Tensor:
    """Concatenate tensors; a single one is returned without a copy."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim)
