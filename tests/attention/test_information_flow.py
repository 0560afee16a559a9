"""Perturb one token and check which outputs change: exactly those of the tokens that may attend to it."""

import pytest
import torch

L, M, N, T = 3, 2, 3, 3
CONTEXT, QUERIES = T * (M + N), T * N


def draw(num: int, seed: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, num, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def encode(
    prompt: torch.Tensor, context: torch.Tensor, queries: torch.Tensor, *, window: int | None, layers: int
) -> torch.Tensor:
    """Run a new transformer, with the same weights each time, in float64."""
    from astra.attention.masks import additive, split_mask
    from astra.attention.transformer import SharedPrompt, Transformer

    torch.manual_seed(3)
    transformer = Transformer(layers=layers, heads=2, width=16).double().eval()
    _, _, allowed = split_mask(L, M, N, T, queries.shape[1] // T, window=window)
    shared = SharedPrompt(prompt, torch.zeros(1, 1, L, L).double(), torch.zeros(len(context), dtype=torch.long))
    return transformer(shared, context, queries, additive(allowed, torch.float64)[None, None], context_out=True)


@pytest.mark.parametrize("window", [None, 1, 2])
def test_perturbing_a_token_changes_exactly_the_outputs_that_may_attend_to_it(window: int | None) -> None:
    from astra.attention.masks import split_mask

    everything = draw(L + CONTEXT + QUERIES, seed=0)
    parts = (L, CONTEXT, QUERIES)
    before = encode(*everything.split(parts, dim=1), window=window, layers=1)[0]
    _, _, allowed = split_mask(L, M, N, T, N, window=window)
    for token in range(sum(parts)):
        perturbed = everything.clone()
        perturbed[0, token] += draw(1, seed=token + 1)[0, 0]
        after = encode(*perturbed.split(parts, dim=1), window=window, layers=1)[0]
        changed = (after != before).any(-1)
        expected = torch.arange(L, sum(parts)) == token  # the residual stream
        if token < L + CONTEXT:
            expected |= allowed[:, token]
        assert torch.equal(changed, expected), f"token {token}"


def test_queries_change_no_other_output() -> None:
    prompt, context = draw(L, seed=0), draw(CONTEXT, seed=1)
    alone = encode(prompt, context, draw(0, seed=2), window=None, layers=4)
    beside = encode(prompt, context, draw(T * 5, seed=2), window=None, layers=4)
    torch.testing.assert_close(beside[:, :CONTEXT], alone, rtol=0, atol=1e-12)


def test_a_last_layer_without_the_context_returns_the_same_queries() -> None:
    from astra.attention.masks import additive, split_mask
    from astra.attention.transformer import SharedPrompt, Transformer

    transformer = Transformer(layers=3, heads=2, width=16).double()
    shared = SharedPrompt(draw(L, 0), torch.zeros(1, 1, L, L).double(), torch.zeros(1, dtype=torch.long))
    _, _, allowed = split_mask(L, M, N, T, N)
    inputs = (shared, draw(CONTEXT, 1), draw(QUERIES, 2), additive(allowed, torch.float64)[None, None])
    full = transformer(*inputs, context_out=True)
    torch.testing.assert_close(transformer(*inputs, context_out=False), full[:, CONTEXT:], rtol=0, atol=1e-12)


def test_split_form_equals_dense_attention_over_the_whole_sequence() -> None:
    """The comparison is with explicit dense layers: all tokens have Q, K and V, and the mask is Figure 7a."""
    from astra.attention.layers import Block
    from astra.attention.masks import additive, split_mask, trajectory_mask
    from astra.attention.segments import interleave, split
    from astra.attention.transformer import SharedPrompt, Transformer

    B = 3
    prompts = draw(L, seed=0, batch=2)
    of = torch.tensor([1, 0, 1])
    states, queries, actions = (torch.randn(B, T, size, 16, dtype=torch.float64) for size in (M, N, N))
    transformer = Transformer(layers=2, heads=4, width=16).double()
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
        assert isinstance(block, Block)
        q, k, v = block.attention.qkv(block.attention_norm(x)).unflatten(-1, (3, 4, 4)).unbind(2)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / 2
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        x = x + block.attention.out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))
        x = x + block.feed_forward(block.feed_forward_norm(x))
    dense = split(transformer.final_norm(x)[:, L:], M, N, N)[1].flatten(1, 2)
    torch.testing.assert_close(ours, dense, rtol=0, atol=1e-10)


def test_attention_maps_are_the_weights_of_the_forward_pass() -> None:
    from astra.attention.layers import Block
    from astra.attention.masks import additive, split_mask
    from astra.attention.transformer import SharedPrompt, Transformer

    transformer = Transformer(layers=2, heads=2, width=16).double()
    shared = SharedPrompt(draw(L, 0), torch.zeros(1, 1, L, L).double(), torch.zeros(1, dtype=torch.long))
    _, _, allowed = split_mask(L, M, N, T, N)
    mask = additive(allowed, torch.float64)[None, None]
    maps = transformer.attention_maps(shared, draw(CONTEXT, 1), draw(QUERIES, 2), mask)
    assert len(maps) == 2
    block = transformer.blocks[0]
    assert isinstance(block, Block)
    x = torch.cat([draw(L, 0), draw(CONTEXT, 1), draw(QUERIES, 2)], dim=1)
    q, k, _ = block.attention.qkv(block.attention_norm(x)).unflatten(-1, (3, 2, 8)).unbind(2)
    scores = torch.einsum("bihd,bjhd->bhij", q[:, L:], k[:, : L + CONTEXT]) / 8**0.5
    torch.testing.assert_close(maps[0], scores.masked_fill(~allowed, -torch.inf).softmax(-1))
    for weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
        assert (weights[0, :, ~allowed] == 0).all()
        assert (weights[0, :, allowed] > 0).all()
