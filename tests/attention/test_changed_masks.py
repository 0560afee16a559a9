"""Whoever changes `may_attend` gets the changed attention in every fast path, or an error."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.attention.changed_masks import Edit, changed, edits, papers_rule

if TYPE_CHECKING:
    from astra.attention.segments import TokenIds

L, M, N, Q, T, D, H, B, P = 2, 2, 3, 4, 4, 8, 2, 4, 2
"""Sizes: Q differs from N so that queries are not mistaken for actions."""


class Model:
    """A small transformer in the fast and in the plain form, and tokens for it."""

    def __init__(self, window: int | None, layers: int | None = None) -> None:
        from astra.attention.positions import RelativePositions, SegmentSizes
        from astra.attention.reference import DenseTransformer
        from astra.attention.transformer import Transformer

        torch.manual_seed(0)
        self.window = window
        self.fast = Transformer(layers=2, heads=H, width=D).double().eval()
        for parameter in self.fast.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        self.dense = DenseTransformer.like(self.fast)
        self.sizes = SegmentSizes(prompt=L, state=M, action=N)
        self.positions = RelativePositions(self.sizes, D, H, max_age=2, layers=layers).double()
        torch.nn.init.normal_(self.positions.ages)
        self.prompts, self.of = torch.randn(P, L, D).double(), torch.tensor([1, 0, 1, 1])
        self.states, self.queries, self.actions = (torch.randn(B, T, size, D).double() for size in (M, Q, N))

    def reference(self, *, queries: bool = True, causal_actions: bool = False) -> dict[str, Tensor]:
        """Outputs of the plain form, by kind of segment."""
        from astra.attention.reference import dense_mask, join_segments, read_out
        from astra.attention.segments import Kind

        asked = self.queries if queries else self.queries[:, :, :0]
        sequence, ids = join_segments(self.prompts[self.of], self.states, asked, self.actions)
        causal = {Kind.ACTION} if causal_actions else set[Kind]()
        options = dict(window=self.window, positions=self.positions)
        mask = dense_mask(ids, torch.float64, causal_segments=causal, **options)  # pyright: ignore[reportArgumentType]
        outputs = self.dense(sequence, mask)
        kinds = {"state": Kind.STATE, "action": Kind.ACTION} | ({"query": Kind.QUERY} if queries else {})
        return {name: read_out(outputs, ids, kind, T) for name, kind in kinds.items()}

    def inputs(self, *, actions: int, queries: bool) -> tuple[Any, ...]:
        """What the fast form takes: shared prompt, context, queries and mask."""
        from astra.attention import masks
        from astra.attention.segments import Kind, interleave, segment_ids
        from astra.attention.transformer import SharedPrompt

        ids = segment_ids(Kind.PROMPT, L)
        rows, columns, allowed = masks.split_mask(L, M, N, T, Q if queries else 0, window=self.window, actions=actions)
        mask = masks.additive(allowed, torch.float64)[None, None] + self.positions.bias(rows, columns)
        inside = masks.additive(masks.may_attend(ids, ids, window=self.window), torch.float64)
        shared = SharedPrompt(self.prompts, inside[None, None] + self.positions.bias(ids, ids), self.of)
        context = interleave(self.states, self.actions)[:, : T * M + actions * N]
        asked = self.queries.flatten(1, 2) if queries else context[:, :0]
        return shared, context, asked, mask


def whole(model: Model, *, queries: bool = True, row_blocks: bool = False) -> dict[str, Tensor]:
    """Run all tokens at once, in one call or in row blocks."""
    from astra.attention.kernels.row_blocks import row_blocks_of
    from astra.attention.segments import split

    asked, blocks = Q if queries else 0, ()
    inputs = model.inputs(actions=T, queries=queries)
    if row_blocks:
        blocks = row_blocks_of(L, M, N, T, asked, actions=T, window=model.window)
        assert len(blocks) > 1
    outputs = model.fast(*inputs, context_out=True, row_blocks=blocks)
    states, actions = split(outputs[:, : T * (M + N)], M, N)
    rest = {"query": outputs[:, T * (M + N) :].unflatten(1, (T, Q))} if queries else {}
    return {"state": states, "action": actions, **rest}


def queries_only(model: Model, *, row_blocks: bool = False) -> dict[str, Tensor]:
    """Leave out the last action, and compute only queries in the last layer, as the loss does."""
    from astra.attention.kernels.row_blocks import row_blocks_of

    inputs, blocks = model.inputs(actions=T - 1, queries=True), ()
    if row_blocks:
        blocks = row_blocks_of(L, M, N, T, Q, actions=T - 1, window=model.window)
    return {"query": model.fast(*inputs, context_out=False, row_blocks=blocks).unflatten(1, (T, Q))}


def packed(model: Model, run: Callable[[Model], dict[str, Tensor]]) -> dict[str, Tensor]:
    from astra.attention import transformer
    from astra.attention.kernels.packed import PackedKernel

    def choose(rows: Any, prompt: Any, mask: Tensor, row_blocks: Any, *, heads: int, dropout: float) -> PackedKernel:
        del row_blocks
        return PackedKernel(rows, prompt, mask, 2, heads=heads, dropout=dropout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "choose_kernel", choose)
        return run(model)


def batched(*parts: "TokenIds") -> "TokenIds":
    from astra.attention.segments import TokenIds, concatenate

    joined = concatenate(*parts)
    return TokenIds(*(tensor.expand(B, -1) for tensor in vars(joined).values()))


def with_cache(model: Model) -> dict[str, Tensor]:
    """Act step by step: [a_{t-1}, s_t | q_t]."""
    from astra.attention.cache import SegmentCache
    from astra.attention.segments import Kind, segment_ids

    cache = SegmentCache.empty(model.fast, model.sizes, B, model.window)
    read = partial(cache.extend, model.fast, positions=model.positions)
    read(model.prompts[model.of], batched(segment_ids(Kind.PROMPT, L)), torch.ones(B, L, dtype=torch.bool))
    outputs = []
    for t in range(T):
        ids = batched(segment_ids(Kind.ACTION, N, t - 1), segment_ids(Kind.STATE, M, t))
        tokens = torch.cat([model.actions[:, t - 1], model.states[:, t]], dim=1)
        valid = torch.cat([torch.full((B, N), t > 0), torch.ones(B, M, dtype=torch.bool)], dim=1)
        asked = dict(queries=model.queries[:, t], ids_of_queries=batched(segment_ids(Kind.QUERY, Q, t)))
        outputs.append(read(tokens, ids, valid, **asked))  # pyright: ignore[reportArgumentType]
    return {"query": torch.stack([output for output in outputs if output is not None], dim=1)}


def token_by_token(model: Model) -> dict[str, Tensor]:
    """Add the state at once and the action dimension by dimension, with causal actions, without queries."""
    from astra.attention.cache import SegmentCache
    from astra.attention.segments import Kind, segment_ids

    cache = SegmentCache.empty(model.fast, model.sizes, B, model.window, frozenset({Kind.ACTION}))

    def read(tokens: Tensor, ids: "TokenIds") -> Tensor:
        valid = torch.ones(tokens.shape[:2], dtype=torch.bool)
        outputs = cache.extend(model.fast, tokens, ids, valid, positions=model.positions, context_out=True)
        assert outputs is not None
        return outputs

    read(model.prompts[model.of], batched(segment_ids(Kind.PROMPT, L)))
    states, actions = [], []
    for t in range(T):
        states.append(read(model.states[:, t], batched(segment_ids(Kind.STATE, M, t))))
        for n in range(N):
            ids = batched(segment_ids(Kind.ACTION, N, t).select(slice(n, n + 1)))
            actions.append(read(model.actions[:, t, n : n + 1], ids))
    return {"state": torch.stack(states, dim=1), "action": torch.cat(actions, dim=1).unflatten(1, (T, N))}


FAST: dict[str, Callable[[Model], dict[str, Tensor]]] = {
    "whole": whole,
    "row blocks": partial(whole, row_blocks=True),
    "queries only": queries_only,
    "queries only, in row blocks": partial(queries_only, row_blocks=True),
    "packed": partial(packed, run=whole),
    "packed, queries only": partial(packed, run=queries_only),
    "cache": with_cache,
}
"""Paths with action queries."""
WITHOUT_QUERIES: dict[str, Callable[[Model], dict[str, Tensor]]] = {
    "encoding": partial(whole, queries=False),
    "encoding in row blocks": partial(whole, queries=False, row_blocks=True),
}
CAUSAL: dict[str, Callable[[Model], dict[str, Tensor]]] = {"token by token": token_by_token}
"""Paths of causal actions."""


@pytest.fixture(autouse=True)
def _cut_small_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let row blocks begin at masks as small as here."""
    from astra.attention.kernels import row_blocks

    monkeypatch.setattr(row_blocks, "FEWEST_COLUMNS", 4)
    row_blocks._row_blocks_of.cache_clear()


def is_changed(window: int | None) -> bool:
    """Whether the present rule differs from the paper's for the sequence of this test."""
    from astra.attention import masks
    from astra.attention.segments import sequence_ids

    ids = sequence_ids(L, M, N, T, Q)
    return not torch.equal(masks.may_attend(ids, ids, window=window), papers_rule()(ids, ids, window=window))


def outcomes(window: int | None, layers: int | None = None) -> dict[str, str]:
    """Compare every path with the reference under the present rule: "equal", or the error."""
    from astra.attention.assumptions import MaskError

    model, found = Model(window, layers), {}
    for paths, options in (
        (FAST, {}),
        (WITHOUT_QUERIES, dict(queries=False)),
        (CAUSAL, dict(queries=False, causal_actions=True)),
    ):
        expected = model.reference(**options)
        for name, path in paths.items():
            try:
                outputs = path(model)
            except MaskError as error:
                found[name] = str(error)
                continue
            for kind, output in outputs.items():
                torch.testing.assert_close(output, expected[kind], rtol=0, atol=1e-10, msg=f"{name}, {kind} tokens")
            found[name] = "equal"
    return found


@pytest.mark.parametrize("layers", [None, 2], ids=["biases of all layers", "biases of each layer"])
@pytest.mark.parametrize("window", [None, 1, 2])
@torch.no_grad()
def test_every_path_equals_the_reference_under_the_papers_mask(window: int | None, layers: int | None) -> None:
    assert set(outcomes(window, layers).values()) == {"equal"}


@settings(max_examples=25)
@given(changes=edits, window=st.sampled_from([None, None, 1, 2]))
@torch.no_grad()
def test_a_changed_mask_is_computed_or_refused_by_every_path(changes: list[Edit], window: int | None) -> None:
    with changed(changes):
        assume(is_changed(window))
        outcomes(window)


ACTION_QUERY = "nothing may attend to a query"
LATER = "must not attend to later tokens"
CAUSAL_STATES = Edit(False, "state", "state", "same", slot="after own")
CAUSAL_ACTIONS = Edit(False, "action", "action", "same", slot="after own")


@pytest.mark.parametrize(
    ("change", "window", "refused"),
    [
        (CAUSAL_STATES, None, {}),
        (CAUSAL_ACTIONS, 2, {}),
        (Edit(False, "query", "state", age=1), None, {}),
        (Edit(False, "query", "action", slot="same parity"), None, {}),
        (Edit(True, "query", "query", "same"), None, dict.fromkeys(FAST, ACTION_QUERY)),
        (Edit(True, "state", "query", age=1), None, dict.fromkeys(FAST, ACTION_QUERY)),
        (
            Edit(True, "prompt", "state", age=-1),
            None,
            dict.fromkeys({**FAST, **WITHOUT_QUERIES}, "a prompt is encoded once")
            | {"cache": LATER, "token by token": LATER},
        ),
        (Edit(True, "state", "state", age=-1), None, {"cache": LATER, "token by token": LATER}),
        (Edit(True, "action", "action", "same"), None, {"token by token": LATER}),
        (
            Edit(True, "query", "action", age=0),
            None,
            dict.fromkeys([name for name in FAST if "queries only" in name], "left out of the sequence")
            | {"cache": LATER},
        ),
        (Edit(True, "query", "state", age=3), 2, {"cache": "has dropped it"}),
        (Edit(True, "query", "state", age=2), 2, {}),
    ],
    ids=str,
)
@torch.no_grad()
def test_known_changes_are_computed_or_refused_with_a_reason(
    change: Edit, window: int | None, refused: dict[str, str]
) -> None:
    with changed([change]):
        found = outcomes(window)
    assert {name for name, outcome in found.items() if outcome != "equal"} == set(refused)
    for name, reason in refused.items():
        assert reason in found[name]


@torch.no_grad()
def test_a_token_that_attends_to_nothing_is_refused() -> None:
    with changed([Edit(False, "query", column) for column in ("prompt", "state", "action")]):
        found = outcomes(None)
    assert all("nothing to attend to" in found[name] for name in FAST)
    assert "action query 0 of timestep 0" in found["whole"]


@pytest.mark.filterwarnings("ignore", "error:FlexAttention does not run here")  # PyTorch warns that it is not compiled
@pytest.mark.parametrize("layers", [None, 2], ids=["biases of all layers", "biases of each layer"])
@pytest.mark.parametrize("change", [CAUSAL_STATES, Edit(False, "query", "state", slot="same parity")], ids=str)
@torch.no_grad()
def test_flex_attention_computes_a_changed_mask(change: Edit, layers: int | None) -> None:
    from torch.nn.attention.flex_attention import flex_attention

    from astra.attention import transformer
    from astra.attention.kernels.flex import FlexKernel

    def choose(rows: Any, prompt: Any, mask: Tensor, row_blocks: Any, *, heads: int, dropout: float) -> FlexKernel:
        del row_blocks, dropout
        return FlexKernel(rows, prompt, mask, heads=heads, flex=flex_attention)

    with changed([change]), pytest.MonkeyPatch.context() as patch:
        model = Model(None, layers)
        patch.setattr(transformer, "choose_kernel", choose)
        for kind, output in whole(model).items():
            torch.testing.assert_close(output, model.reference()[kind], rtol=0, atol=1e-10)


@settings(max_examples=20)
@given(changes=edits)
@torch.no_grad()
def test_drawn_weights_are_those_of_the_changed_mask(changes: list[Edit]) -> None:
    from astra.attention.assumptions import MaskError
    from astra.attention.reference import DenseBlock, dense_mask, join_segments
    from astra.attention.segments import Kind

    model = Model(None)
    with changed(changes):
        try:
            maps = model.fast.attention_maps(*model.inputs(actions=T, queries=True))
        except MaskError:
            return
        x, ids = join_segments(model.prompts[model.of], model.states, model.queries, model.actions)
        mask = dense_mask(ids, torch.float64, positions=model.positions)
    is_query, is_prompt = ids.kind == Kind.QUERY, ids.kind == Kind.PROMPT
    rows = torch.cat([(~is_query & ~is_prompt).nonzero()[:, 0], is_query.nonzero()[:, 0]])
    for block, weights in zip(model.dense.blocks, maps, strict=True):
        assert isinstance(block, DenseBlock)
        q, k, _ = block.attention.qkv(block.attention_norm(x)).unflatten(-1, (3, H, -1)).unbind(2)
        dense = (torch.einsum("bihd,bjhd->bhij", q, k) / (D // H) ** 0.5 + mask).softmax(-1)
        assert (dense[..., is_query] == 0).all()
        torch.testing.assert_close(weights, dense[:, :, rows][..., ~is_query], rtol=0, atol=1e-10)
        x = block(x, mask)


@settings(max_examples=20)
@given(changes=edits, window=st.sampled_from([None, 1, 2]))
@torch.no_grad()
def test_vimas_cache_computes_or_refuses_a_changed_mask(changes: list[Edit], window: int | None) -> None:
    from astra.attention.assumptions import MaskError
    from astra.attention.cross_transformer import CrossAttentionTransformer, CrossCache, self_mask
    from astra.attention.segments import Kind, context_ids, segment_ids

    torch.manual_seed(0)
    transformer = CrossAttentionTransformer(layers=2, heads=H, width=D).double().eval()
    prompts, context = torch.randn(B, L, D).double(), torch.randn(B, T, M + 1, D).double()
    prompt = transformer.read_prompts(prompts, torch.ones(B, L, dtype=torch.bool))
    ids = context_ids(0, M, 1, T)
    with changed(changes):
        mask = self_mask(ids, ids, torch.ones(1, T * (M + 1), dtype=torch.bool), window, None, torch.float64)
        full = transformer(prompt, context.flatten(1, 2), mask).unflatten(1, (T, M + 1))
        cache = CrossCache.of(prompt, window)
        for t in range(T):
            new = batched(segment_ids(Kind.ACTION, 1, t - 1), segment_ids(Kind.STATE, M, t))
            tokens = torch.cat([context[:, t - 1, M:], context[:, t, :M]], dim=1)
            try:
                valid = new.timestep >= 0
                outputs = cache.extend(transformer, tokens, new, valid)
            except MaskError:
                return
            torch.testing.assert_close(outputs[:, 1:], full[:, t, :M], rtol=0, atol=1e-10)
