"""Trajectory attention in its plain form. To understand the model, read this file first.

It follows section 3.2 of the paper from top to bottom: tokens, segments, mask, block, queries, readout.

    p1 p2 p3 | s1 s2 | q1 q2 q3 | a1 a2 a3 | s1 s2 | q1 q2 q3 | a1 a2 a3 | ...
     prompt    state    queries    action
               t = 1                         t = 2

Everything is one dense sequence here: every token has a query, a key and a value, and one mask covers all pairs of
tokens. Nothing is skipped, packed or cached. The fast form, `astra.attention.transformer.Transformer`, has the same
parameters under the same names. All kernels and caches are tested against this file.
"""

from collections.abc import Collection

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention import masks
from astra.attention.positions import RelativePositions, by_layer
from astra.attention.segments import Kind, TokenIds, interleave, sequence_ids
from astra.attention.transformer import Transformer

# ---- Tokens and segments


def join_segments(
    prompt: Float[Tensor, "B L D"],
    states: Float[Tensor, "B T M D"],
    queries: Float[Tensor, "B T Q D"],
    actions: Float[Tensor, "B T N D"],
) -> tuple[Float[Tensor, "B S D"], TokenIds]:
    """Join tokens to one sequence p, s_1, q_1, a_1, ..., s_T, q_T, a_T, and return it with the ids of its tokens.

    Tokens come with their positions. Without queries (Q = 0) this is the sequence of Figure 7b, for encoding.
    """
    (_, T, M, _), L, N, num_queries = states.shape, prompt.shape[1], actions.shape[2], queries.shape[2]
    sequence = torch.cat([prompt, interleave(states, queries, actions)], dim=1)
    return sequence, sequence_ids(L, M, N, T, num_queries).to(sequence.device)


# ---- Mask: causal between segments, bidirectional inside a segment, and nothing attends to a query


def dense_mask(
    ids: TokenIds,
    dtype: torch.dtype,
    *,
    window: int | None = None,
    causal_segments: Collection[Kind] = (),
    valid: Bool[Tensor, "B S"] | None = None,
    positions: RelativePositions | None = None,
    past_actions: bool = True,
) -> Float[Tensor, "#B #H S S"]:
    """Return what to add to the attention scores of the whole sequence.

    Args:
        ids: Ids of all tokens.
        dtype: Type of the scores.
        window: W in timesteps, as in `may_attend`.
        causal_segments: As in `may_attend`.
        valid: Which tokens are real; None: all are.
        positions: Relative positions, which add a bias for the age of what is attended to.
        past_actions: Whether later segments attend to actions.
    """
    allowed = masks.may_attend(ids, ids, window=window, causal_segments=causal_segments)[None]
    if not past_actions:
        allowed = masks.hide_actions(allowed, ids, ids)
    if valid is not None:
        allowed = allowed & valid[:, None, :]
    mask = masks.additive(allowed, dtype)[:, None]
    return mask if positions is None else mask + positions.bias(ids, ids)


# ---- The GPT-2 block


class SelfAttention(nn.Module):
    """Multi-head self-attention: softmax(Q K^T / sqrt(d) + mask) V."""

    def __init__(self, width: int, heads: int) -> None:
        """Build the projections."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B S D"], mask: Float[Tensor, "#B #H S S"]) -> Float[Tensor, "B S D"]:
        """Attend to all tokens that the mask allows."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with a GELU in between."""

    def __init__(self, width: int) -> None:
        """Build the layers."""
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        """Apply the layer to every token."""
        return self.down(F.gelu(self.up(x)))


class DenseBlock(nn.Module):
    """Pre-LN block of GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        """Build the layers."""
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), SelfAttention(width, heads)
        self.feed_forward_norm, self.feed_forward = nn.LayerNorm(width), FeedForward(width)

    def forward(self, x: Float[Tensor, "B S D"], mask: Float[Tensor, "#B #H S S"]) -> Float[Tensor, "B S D"]:
        """Add the output of attention, then the output of the feed-forward layer."""
        x = x + self.attention(self.attention_norm(x), mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class DenseTransformer(nn.Module):
    """Blocks and a final norm over one dense sequence."""

    def __init__(self, *, layers: int, heads: int, width: int) -> None:
        """Build the blocks."""
        super().__init__()
        self.heads = heads
        self.blocks = nn.ModuleList(DenseBlock(width, heads) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width)

    @classmethod
    def like(cls, fast: Transformer) -> "DenseTransformer":
        """Return the plain form of a transformer of GPT-2 blocks, with a copy of its weights."""
        dense = cls(layers=len(fast.blocks), heads=fast.heads, width=fast.width).to(next(fast.parameters()))
        weights = {name: weight for name, weight in fast.state_dict().items() if not name.startswith("positions.")}
        dense.load_state_dict(weights)
        return dense

    def forward(self, sequence: Float[Tensor, "B S D"], mask: Float[Tensor, "#B #H S S"]) -> Float[Tensor, "B S D"]:
        """Return the output of every token."""
        x = sequence
        for block, own in zip(self.blocks, by_layer(mask, len(self.blocks), self.heads), strict=True):
            x = block(x, own)
        return self.final_norm(x)


# ---- Action queries and readout


def read_out(
    outputs: Float[Tensor, "B S D"], ids: TokenIds, kind: Kind, num_timesteps: int
) -> Float[Tensor, "B T _ D"]:
    """Return the outputs of all segments of a kind.

    The outputs of action queries become the distribution of the next action: one linear head per dimension. The outputs
    of the last action segment stand for the whole trajectory in contrastive dynamics learning.
    """
    return outputs[:, ids.kind == kind].unflatten(1, (num_timesteps, -1))
