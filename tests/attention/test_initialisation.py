"""What attention does before it has learned anything."""

import pytest
import torch


def test_mimetic_attention_begins_by_finding_what_is_alike_and_copying_it() -> None:
    from astra.attention.initialisation import COPY, LIKENESS
    from astra.attention.layers import Attention
    from astra.attention.transformer import Transformer

    transformer = Transformer(layers=2, heads=4, width=128, initialisation="mimetic")
    tokens = torch.nn.functional.layer_norm(torch.randn(400, 128), (128,))
    for module in transformer.modules():
        if isinstance(module, Attention):
            q, k, v = module.qkv(tokens).chunk(3, dim=-1)
            per_head = [part.unflatten(-1, (4, 32)).transpose(0, 1) for part in (q, k)]
            scores = per_head[0] @ per_head[1].mT / 32**0.5
            alike = scores.diagonal(dim1=1, dim2=2)
            assert abs(float(alike.detach().mean()) - LIKENESS) < 0.2 * LIKENESS
            assert alike.mean() > scores.mean() + 4 * scores.flatten(1).std()
            copied = (module.out(v) * tokens).mean()
            assert abs(float(copied.detach()) - COPY) < 0.1 * COPY
            assert (module.qkv.bias == 0).all()


@pytest.mark.parametrize(("width", "std"), [(768, 0.02), (192, 0.04)])
def test_weights_begin_as_gpt2s_do_and_as_loud_at_other_widths(width: int, std: float) -> None:
    from astra.attention.transformer import Transformer

    block = Transformer(layers=3, heads=2, width=width).blocks[0]
    assert float(block.attention.qkv.weight.detach().std()) == pytest.approx(std, rel=0.05)  # pyright: ignore
    assert float(block.attention.out.weight.detach().std()) == pytest.approx(std / 6**0.5, rel=0.05)  # pyright: ignore


def test_mimetic_attention_to_a_prompt_begins_in_the_same_way() -> None:
    from astra.attention.cross_transformer import CrossTransformer
    from astra.attention.initialisation import COPY, LIKENESS
    from astra.attention.vima_block import CrossBlock

    block = CrossTransformer(layers=1, heads=4, width=128, initialisation="mimetic").cross[0]
    assert isinstance(block, CrossBlock)
    tokens = torch.nn.functional.layer_norm(torch.randn(400, 128), (128,))
    keys, values = block.keys_values(tokens).chunk(2, dim=-1)
    per_head = [part.unflatten(-1, (4, 32)).transpose(0, 1) for part in (block.q(tokens), keys)]
    scores = per_head[0] @ per_head[1].mT / 32**0.5
    alike = scores.diagonal(dim1=1, dim2=2)
    assert abs(float(alike.detach().mean()) - LIKENESS) < 0.2 * LIKENESS
    assert alike.mean() > scores.mean() + 4 * scores.flatten(1).std()
    assert abs(float((block.out(values) * tokens).mean().detach()) - COPY) < 0.1 * COPY
