"""Initial weights."""

import pytest


@pytest.mark.parametrize(("width", "std"), [(768, 0.02), (192, 0.04)])
def test_initial_weights_are_those_of_gpt2_scaled_to_the_width(width: int, std: float) -> None:
    from astra.attention.transformer import Transformer

    block = Transformer(layers=3, heads=2, width=width).blocks[0]
    assert float(block.attention.qkv.weight.detach().std()) == pytest.approx(std, rel=0.05)  # pyright: ignore
    assert float(block.attention.out.weight.detach().std()) == pytest.approx(std / 6**0.5, rel=0.05)  # pyright: ignore
