"""The plain form computes the paper's formula."""

import torch


def test_a_block_computes_softmax_attention_and_a_feed_forward_layer() -> None:
    from astra.attention.reference import DenseBlock, dense_mask
    from astra.attention.segments import sequence_ids

    block, ids = DenseBlock(width=8, heads=2).double(), sequence_ids(2, 2, 2, 2, 2)
    x = torch.randn(3, len(ids.kind), 8, dtype=torch.float64)
    mask = dense_mask(ids, torch.float64)

    q, k, v = block.attention.qkv(block.attention_norm(x)).unflatten(-1, (3, 2, 4)).unbind(2)
    weights = (torch.einsum("bihd,bjhd->bhij", q, k) / 2).masked_fill(mask < 0, -torch.inf).softmax(-1)
    expected = x + block.attention.out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))
    hidden = torch.nn.functional.gelu(block.feed_forward.up(block.feed_forward_norm(expected)))
    expected = expected + block.feed_forward.down(hidden)
    torch.testing.assert_close(block(x, mask), expected, rtol=0, atol=1e-12)


def test_padding_changes_no_real_token() -> None:
    from astra.attention.reference import DenseTransformer, dense_mask
    from astra.attention.segments import context_ids

    transformer, ids = DenseTransformer(layers=2, heads=2, width=8), context_ids(3, 2, 2, 2)
    x = torch.randn(1, len(ids.kind), 8)
    valid = torch.ones(1, len(ids.kind), dtype=torch.bool)
    valid[0, 2] = False
    other = x.clone()
    other[0, 2] += 1
    before, after = (transformer(each, dense_mask(ids, torch.float32, valid=valid)) for each in (x, other))
    torch.testing.assert_close(after[valid], before[valid])


def test_the_plain_form_has_the_parameters_of_the_fast_form() -> None:
    from astra.attention.reference import DenseTransformer
    from astra.attention.transformer import Transformer

    fast = Transformer(layers=2, heads=2, width=8)
    plain = DenseTransformer.like(fast)
    assert list(plain.state_dict()) == list(fast.state_dict())
    assert all(torch.equal(weight, fast.state_dict()[name]) for name, weight in plain.state_dict().items())
