"""What weights are before training."""

import pytest


@pytest.mark.parametrize(("width", "std"), [(768, 0.02), (192, 0.04)])
def test_weights_begin_as_gpt2s_do_and_as_loud_at_other_widths(width: int, std: float) -> None:
    from astra.attention.transformer import Transformer

    block = Transformer(layers=3, heads=2, width=width).blocks[0]
    assert float(block.attention.qkv.weight.detach().std()) == pytest.approx(std, rel=0.05)  # pyright: ignore
    assert float(block.attention.out.weight.detach().std()) == pytest.approx(std / 6**0.5, rel=0.05)  # pyright: ignore
