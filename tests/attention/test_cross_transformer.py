"""VIMA's transformer: its size, its information flow, and that acting step by step equals the full forward pass."""

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from astra.attention.cross_transformer import CrossAttentionTransformer

L, M, T, D, H = 3, 2, 5, 16, 2
C = T * (M + 1)


def build(*, gates: bool = False) -> "CrossAttentionTransformer":
    """A transformer in float64 in which no weight is zero or one."""
    from astra.attention.cross_transformer import CrossAttentionTransformer

    transformer = CrossAttentionTransformer(layers=2, heads=H, width=D, gates=gates).double().eval()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return transformer


def run(
    transformer: "CrossAttentionTransformer",
    prompt: torch.Tensor,
    context: torch.Tensor,
    *,
    window: int | None = None,
    prompt_valid: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    from astra.attention.cross_transformer import self_mask
    from astra.attention.segments import context_ids

    ids = context_ids(0, M, 1, T)
    valid = torch.ones(1, C, dtype=torch.bool) if valid is None else valid
    prompt_valid = torch.ones(prompt.shape[:2], dtype=torch.bool) if prompt_valid is None else prompt_valid
    mask = self_mask(ids, ids, valid, window, None, torch.float64)
    return transformer(transformer.read_prompts(prompt, prompt_valid), context, mask)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(
    ("layers", "width", "count"),
    [(5, 512, 42_379_776), (10, 1280, 525_488_640), (6, 768, 113_914_368), (6, 512, 50_777_088), (3, 512, 25_585_152)],
)
def test_the_transformer_has_the_papers_number_of_parameters(layers: int, width: int, count: int) -> None:
    from astra.attention.cross_transformer import CrossAttentionTransformer
    from astra.attention.positions import LearnedPositions, SegmentSizes

    with torch.device("meta"):
        transformer = CrossAttentionTransformer(
            layers=layers,
            heads=16,
            width=width,
            positions=LearnedPositions(SegmentSizes(prompt=0, state=M, action=1), width, 512),
            prompt_positions=LearnedPositions(SegmentSizes(prompt=L, state=0, action=0), width, 256),
        )
    assert sum(parameter.numel() for parameter in transformer.parameters()) == count


@pytest.mark.parametrize("gates", [False, True])
def test_the_transformer_equals_explicit_dense_layers(gates: bool) -> None:
    from astra.attention.masks import additive
    from astra.attention.vima_block import CrossBlock, VimaBlock

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (H, D // H)) for part in (q, k, v))
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / (D // H) ** 0.5 + mask
        return torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).flatten(2)

    transformer = build(gates=gates)
    prompt, context = draw(2, L, D), draw(2, C, D)
    causal = additive(torch.ones(C, C, dtype=torch.bool).tril(), torch.float64)
    x = context
    normal = (prompt - prompt.mean(-1, keepdim=True)) / (prompt.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    gelu = torch.nn.functional.gelu
    for cross, block in zip(transformer.cross, transformer.blocks, strict=True):
        assert isinstance(cross, CrossBlock)
        assert isinstance(block, VimaBlock)
        first, second = (1.0, 1.0) if cross.gates is None else cross.gates.tanh()
        keys, values = (normal @ cross.keys_values.weight.T).chunk(2, dim=-1)
        x = x + first * cross.out(attention(cross.q(cross.norm(x)), keys, values, torch.zeros(())))
        y = cross.feed_forward_norm(x)
        x = x + second * cross.feed_forward.down(gelu(cross.feed_forward.up(y)) * cross.feed_forward.gate(y))
        q, k, v = block.attention.qkv(x).chunk(3, dim=-1)
        x = block.attention_norm(x + block.attention.out(attention(q, k, v, causal)))
        inner = gelu(block.feed_forward.up(x)) * block.feed_forward.gate(x)
        x = block.feed_forward_norm(x + block.feed_forward.down(inner))
    torch.testing.assert_close(run(transformer, prompt, context), x, rtol=0, atol=1e-10)


def test_closed_gates_hide_the_prompt() -> None:
    from astra.attention.cross_transformer import CrossAttentionTransformer

    transformer = CrossAttentionTransformer(layers=2, heads=H, width=D, gates=True).double()
    context = draw(1, C, D)
    assert torch.equal(run(transformer, draw(1, L, D), context), run(transformer, draw(1, L, D), context))


@pytest.mark.parametrize("window", [None, 1, 2])
def test_perturbing_a_token_changes_exactly_the_outputs_that_may_attend_to_it(window: int | None) -> None:
    from astra.attention.masks import ALL_SEGMENTS, may_attend
    from astra.attention.segments import context_ids

    transformer = build()
    prompt, context = draw(1, L, D), draw(1, C, D)
    before = run(transformer, prompt, context, window=window)
    ids = context_ids(0, M, 1, T)
    once = may_attend(ids, ids, window=window, causal_segments=ALL_SEGMENTS).float()
    reached = once @ once > 0  # through two layers
    for token in range(C):
        other = context.clone()
        other[0, token] += draw(D)
        changed = (run(transformer, prompt, other, window=window) != before).any(-1)[0]
        assert torch.equal(changed, reached[:, token]), f"token {token}"
    for token in range(L):
        other = prompt.clone()
        other[0, token] += draw(D)
        assert (run(transformer, other, context, window=window) != before).any(-1).all()


def test_padding_of_prompt_and_context_changes_nothing() -> None:
    transformer = build()
    prompt, context = draw(2, L, D), draw(2, C, D)
    valid = torch.rand(2, C) < 0.7
    before = run(transformer, prompt, context, valid=valid)
    longer = torch.cat([prompt, draw(2, 4, D)], dim=1)
    prompt_valid = torch.arange(L + 4).expand(2, -1) < L
    noise = torch.where(valid[..., None], context, draw(2, C, D))
    after = run(transformer, longer, noise, prompt_valid=prompt_valid, valid=valid)
    torch.testing.assert_close(after[valid], before[valid], rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [None, 1, 2])
def test_the_cache_equals_the_full_forward_pass_with_environments_at_their_own_timesteps(window: int | None) -> None:
    """The second environment is reset after two timesteps, with a prompt of another length."""
    from astra.attention.cross_transformer import CrossCache
    from astra.attention.segments import Kind, TokenIds

    transformer = build()
    prompts, later, context = draw(2, L, D), draw(1, L + 2, D), draw(2, C, D)
    full = run(transformer, prompts, context, window=window)
    anew = run(transformer, later, context[1:], window=window)

    def every(prompt: torch.Tensor) -> torch.Tensor:
        return torch.ones(prompt.shape[:2], dtype=torch.bool)

    cache = CrossCache.of(transformer.read_prompts(prompts, every(prompts)), window)
    steps = context.unflatten(1, (T, M + 1))
    expected, begun = full.clone(), torch.tensor([0, 0])
    for now in range(T):
        if now == 2:
            where = torch.tensor([False, True])
            cache.replace(where, transformer.read_prompts(later, every(later)))
            begun, expected = torch.tensor([0, 2]), torch.cat([full[:1], anew])
        t = now - begun
        tokens = torch.stack(
            [torch.cat([steps[b, max(int(t[b]) - 1, 0), M:], steps[b, int(t[b]), :M]]) for b in range(2)]
        )
        kinds = torch.tensor([Kind.ACTION] + [Kind.STATE] * M).expand(2, -1)
        when = t[:, None] - (kinds == Kind.ACTION).long()
        ids = TokenIds(kinds, when, torch.tensor([0, *range(M)]).expand(2, -1))
        valid = (t[:, None] > 0) | (kinds == Kind.STATE)
        outputs = cache.extend(transformer, tokens, ids, valid)[:, 1:]
        wanted = torch.stack([expected[b].unflatten(0, (T, M + 1))[int(t[b]), :M] for b in range(2)])
        torch.testing.assert_close(outputs, wanted, rtol=0, atol=1e-10)
    if window is not None:
        assert cache.valid.shape[1] == window * (M + 1)
