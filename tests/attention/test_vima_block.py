"""VIMA's block: its size, and that transformer and cache compute what explicit dense layers compute."""

import pytest
import torch

L, M, N, T, D, H = 3, 2, 3, 4, 16, 2


def test_ten_blocks_are_the_papers_42_million_parameters() -> None:
    from astra.attention.transformer import Transformer

    with torch.device("meta"):
        vima = Transformer(layers=10, heads=16, width=512, block="vima")
        gpt2 = Transformer(layers=14, heads=8, width=512)
    assert sum(parameter.numel() for parameter in vima.parameters()) == 42_009_600
    assert sum(parameter.numel() for parameter in gpt2.parameters()) == 44_134_400


def test_split_form_equals_dense_post_norm_layers() -> None:
    from astra.attention.masks import additive, split_mask, trajectory_mask
    from astra.attention.segments import interleave, split
    from astra.attention.transformer import SharedPrompt, Transformer
    from astra.attention.vima_block import VimaBlock

    transformer = Transformer(layers=2, heads=H, width=D, block="vima").double()
    for parameter in transformer.parameters():  # biases and norms that are zeros and ones would hide a wrong place
        torch.nn.init.normal_(parameter, std=0.5)
    prompts, of = torch.randn(2, L, D).double(), torch.tensor([1, 0, 1])
    states, queries, actions = (torch.randn(3, T, size, D).double() for size in (M, N, N))
    _, _, allowed = split_mask(L, M, N, T, N)
    ours = transformer(
        SharedPrompt(prompts, torch.zeros(1, 1, L, L).double(), of),
        interleave(states, actions),
        queries.flatten(1, 2),
        additive(allowed, torch.float64)[None, None],
        context_out=False,
    )

    x = torch.cat([prompts[of], interleave(states, queries, actions)], dim=1)
    mask = trajectory_mask(L, M, N, T, num_queries=N)
    for block in transformer.blocks:
        assert isinstance(block, VimaBlock)
        q, k, v = block.attention.qkv(x).unflatten(-1, (3, H, D // H)).unbind(2)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / (D // H) ** 0.5
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        mixed = torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2)
        x = block.attention_norm(x + block.attention.out(mixed))
        gated = torch.nn.functional.gelu(block.feed_forward.up(x)) * block.feed_forward.gate(x)
        x = block.feed_forward_norm(x + block.feed_forward.down(gated))
    dense = split(x[:, L:], M, N, N)[1].flatten(1, 2)
    torch.testing.assert_close(ours, dense, rtol=0, atol=1e-10)


@pytest.mark.parametrize("window", [None, 2])
def test_the_cache_equals_the_full_forward_pass(window: int | None) -> None:
    from astra.attention.cache import SegmentCache
    from astra.attention.masks import additive, split_mask
    from astra.attention.positions import SegmentSizes
    from astra.attention.segments import Kind, TokenIds, concatenate, interleave, segment_ids
    from astra.attention.transformer import SharedPrompt, Transformer

    B = 2
    transformer = Transformer(layers=3, heads=H, width=D, block="vima").eval()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    prompt, states, actions = torch.randn(B, L, D), torch.randn(B, T, M, D), torch.randn(B, T, N, D)
    queries = torch.randn(B, T, N, D)
    _, _, allowed = split_mask(L, M, N, T, N, window=window)
    full = transformer(
        SharedPrompt(prompt, torch.zeros(1, 1, L, L), None),
        interleave(states, actions),
        queries.flatten(1, 2),
        additive(allowed, torch.float32)[None, None],
        context_out=False,
    ).unflatten(1, (T, N))

    def ids(*parts: TokenIds) -> TokenIds:
        whole = concatenate(*parts)
        return TokenIds(*(tensor.expand(B, -1) for tensor in vars(whole).values()))

    cache = SegmentCache.empty(transformer, SegmentSizes(prompt=L, state=M, action=N), B, window)
    cache.extend(transformer, prompt, ids(segment_ids(Kind.PROMPT, L)), torch.ones(B, L, dtype=torch.bool))
    with torch.no_grad():
        for t in range(T):
            new = ids(segment_ids(Kind.ACTION, N, t - 1), segment_ids(Kind.STATE, M, t))
            valid = torch.cat([torch.full((B, N), t > 0), torch.ones(B, M, dtype=torch.bool)], dim=1)
            tokens = torch.cat([actions[:, t - 1], states[:, t]], dim=1)
            asked = ids(segment_ids(Kind.QUERY, N, t))
            step = cache.extend(transformer, tokens, new, valid, queries[:, t], asked)
            assert step is not None
            torch.testing.assert_close(step, full[:, t], rtol=0, atol=1e-5)
