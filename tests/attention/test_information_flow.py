"""Perturb one token at random and see whose output changes: exactly those that may read it."""

import pytest
import torch

SHAPE = dict(L=3, M=2, N=3, T=3)
"""Sizes that all differ where they may."""


def run_transformer(
    context: torch.Tensor, queries: torch.Tensor | None, window: int | None, layers: int = 1
) -> torch.Tensor:
    """Encode with new but always equal weights, in float64."""
    from astra.attention.masks import additive, split_mask
    from astra.attention.transformer import Transformer

    torch.manual_seed(3)
    transformer = Transformer(layers=layers, heads=2, width=16).double().eval()
    num_queries = 0 if queries is None else queries.shape[1] // SHAPE["T"]
    _, _, allowed = split_mask(*SHAPE.values(), num_queries, window, context.shape[1])
    return transformer(context, queries, additive(allowed, torch.float64)[None, None], context_out=True)


def tokens(num: int, seed: int) -> torch.Tensor:
    return torch.randn(1, num, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("window", [None, 1, 2])
def test_perturbing_a_token_changes_exactly_the_outputs_that_may_read_it(window: int | None) -> None:
    from astra.attention.masks import split_mask

    num_context = SHAPE["L"] + SHAPE["T"] * (SHAPE["M"] + SHAPE["N"])
    num_rows = num_context + SHAPE["T"] * SHAPE["N"]
    everything = tokens(num_rows, seed=0)
    before = run_transformer(everything[:, :num_context], everything[:, num_context:], window)[0]
    _, _, allowed = split_mask(*SHAPE.values(), SHAPE["N"], window, num_context)
    for token in range(num_rows):
        perturbed = everything.clone()
        perturbed[0, token] += tokens(1, seed=token + 1)[0, 0]
        after = run_transformer(perturbed[:, :num_context], perturbed[:, num_context:], window)[0]
        changed = (after != before).any(-1)
        expected = torch.arange(num_rows) == token  # the residual stream
        if token < num_context:
            expected |= allowed[:, token]
        assert torch.equal(changed, expected), f"token {token}"


def test_queries_change_no_other_output() -> None:
    context = tokens(SHAPE["L"] + SHAPE["T"] * (SHAPE["M"] + SHAPE["N"]), seed=0)
    alone = run_transformer(context, None, None, layers=4)
    beside = run_transformer(context, tokens(SHAPE["T"] * 5, seed=1), None, layers=4)
    torch.testing.assert_close(beside[:, : context.shape[1]], alone, rtol=0, atol=1e-12)


def test_last_layer_without_the_context_gives_the_same_queries() -> None:
    from astra.attention.masks import additive, split_mask
    from astra.attention.transformer import Transformer

    transformer = Transformer(layers=3, heads=2, width=16).double()
    context, queries = tokens(SHAPE["L"] + SHAPE["T"] * (SHAPE["M"] + SHAPE["N"]), seed=0), tokens(9, seed=1)
    _, _, allowed = split_mask(*SHAPE.values(), SHAPE["N"], None, context.shape[1])
    mask = additive(allowed, torch.float64)[None, None]
    full = transformer(context, queries, mask, context_out=True)
    torch.testing.assert_close(
        transformer(context, queries, mask, context_out=False), full[:, context.shape[1] :], rtol=0, atol=1e-12
    )


def test_split_form_equals_dense_attention_over_the_whole_sequence() -> None:
    """The split kernel against one plain dense layer: all tokens have Q, K and V, and the mask is Figure 7a."""
    from astra.attention.layers import Block
    from astra.attention.masks import additive, trajectory_mask
    from astra.attention.segments import interleave, split
    from astra.attention.transformer import Transformer

    L, M, N, T = SHAPE.values()
    prompt, states, queries, actions = (
        torch.randn(2, *shape, 16, dtype=torch.float64) for shape in [(L,), (T, M), (T, N), (T, N)]
    )
    transformer = Transformer(layers=2, heads=4, width=16).double()
    from astra.attention.masks import split_mask

    _, _, allowed = split_mask(L, M, N, T, N, None, L + T * (M + N))
    ours = transformer(
        interleave(prompt, states, actions),
        queries.flatten(1, 2),
        additive(allowed, torch.float64)[None, None],
        context_out=False,
    )

    x = interleave(prompt, states, queries, actions)
    mask = trajectory_mask(L, M, N, T, num_queries=N)
    for block in transformer.blocks:
        assert isinstance(block, Block)
        q, k, v = block.attention.qkv(block.attention_norm(x)).unflatten(-1, (3, 4, 4)).unbind(2)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / 2
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        x = x + block.attention.out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))
        x = x + block.feed_forward(block.feed_forward_norm(x))
    dense = split(transformer.final_norm(x), L, M, N, N)[2].flatten(1, 2)
    torch.testing.assert_close(ours, dense, rtol=0, atol=1e-10)


def test_attention_maps_are_the_weights_of_the_forward_pass() -> None:
    from astra.attention.masks import additive, split_mask
    from astra.attention.transformer import Transformer

    transformer = Transformer(layers=2, heads=2, width=16).double()
    num_context = SHAPE["L"] + SHAPE["T"] * (SHAPE["M"] + SHAPE["N"])
    _, _, allowed = split_mask(*SHAPE.values(), SHAPE["N"], None, num_context)
    maps = transformer.attention_maps(
        tokens(num_context, 0), tokens(9, 1), additive(allowed, torch.float64)[None, None]
    )
    assert len(maps) == 2
    for weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
        assert (weights[0, :, ~allowed] == 0).all()
        assert (weights[0, :, allowed] > 0).all()
