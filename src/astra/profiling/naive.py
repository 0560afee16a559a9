"""Our own layers in the naive form: one dense sequence, Q, K and V of every token, all layers in full."""

from jaxtyping import Float
from torch import Tensor

from astra.attention.layers import Block, attend
from astra.attention.transformer import Transformer


def dense_forward(
    trunk: Transformer, sequence: Float[Tensor, "B S D"], mask: Float[Tensor, "#B #H S S"]
) -> Float[Tensor, "B S D"]:
    """Run the trunk over the sequence p, s_1, q_1, a_1, ... with a dense additive mask."""
    x = sequence
    for block in trunk.blocks:
        assert isinstance(block, Block)
        width = x.shape[-1]
        q, keys_values = block.attention.qkv(block.attention_norm(x)).split([width, 2 * width], dim=-1)
        x = x + block.attention.out(attend(q, keys_values, mask, heads=trunk.heads, dropout=0.0))
        x = x + block.feed_forward(block.feed_forward_norm(x))
    return trunk.final_norm(x)
