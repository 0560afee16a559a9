"""Every kernel equals dense attention, in values and gradients, over random shapes with padding."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

if TYPE_CHECKING:
    from astra.attention.kernels.layout import Rows, SharedPrompt
    from astra.attention.layers import Kernel

H, D = 2, 8


class DenseReference:
    """Explicit scores of every row against every column of its own trajectory."""

    def __init__(self, rows: "Rows", prompt: "SharedPrompt", mask: Tensor) -> None:
        self.rows, self.prompt, self.mask = rows, prompt, mask

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        rows, of = self.rows, self.prompt.of
        num_prompt, num_context = rows.prompts * rows.prompt, rows.batch * rows.context
        prompts = keys_values[:num_prompt].view(rows.prompts, rows.prompt, 2, H, -1)
        contexts = keys_values[num_prompt:].view(rows.batch, rows.context, 2, H, -1)
        outputs = []
        if q_keyed is not None and len(q_keyed) == num_prompt + num_context:
            q = q_keyed[:num_prompt].view(rows.prompts, rows.prompt, H, -1)
            outputs.append(self.attend(q, prompts, self.prompt.mask).flatten(0, 1))
            q_keyed = q_keyed[num_prompt:]
        own = torch.cat([prompts if of is None else prompts[of], contexts], dim=1)
        if q_keyed is not None:
            q = q_keyed.view(rows.batch, rows.context, H, -1)
            outputs.append(self.attend(q, own, self.mask[:, :, : rows.context]).flatten(0, 1))
        if q_queries is not None:
            q = q_queries.view(rows.batch, rows.queries, H, -1)
            outputs.append(self.attend(q, own, self.mask[:, :, rows.context :]).flatten(0, 1))
        return torch.cat(outputs)

    def attend(self, q: Tensor, keys_values: Tensor, mask: Tensor) -> Tensor:
        keys, values = keys_values.unbind(2)
        scores = torch.einsum("brhd,bshd->bhrs", q, keys) / q.shape[-1] ** 0.5 + mask
        return torch.einsum("bhrs,bshd->brhd", scores.softmax(-1), values).flatten(2)


def row_blocks(rows: "Rows", prompt: "SharedPrompt", mask: Tensor) -> "Kernel":
    from astra.attention.kernels.row_blocks import RowBlockKernel

    return RowBlockKernel(rows, prompt, mask, (), heads=H, dropout=0.0)


def packed(rows: "Rows", prompt: "SharedPrompt", mask: Tensor) -> "Kernel":
    from astra.attention.kernels.packed import PackedKernel

    return PackedKernel(rows, prompt, mask, 2 if rows.batch % 2 == 0 else rows.batch, heads=H, dropout=0.0)


def by_weights(rows: "Rows", prompt: "SharedPrompt", mask: Tensor) -> "Kernel":
    """The path of dropout, with nothing dropped."""
    from astra.attention.kernels.row_blocks import RowBlockKernel

    return RowBlockKernel(rows, prompt, mask, (), heads=H, dropout=1e-9)


shapes = st.fixed_dictionaries(
    dict(
        L=st.integers(1, 4),
        M=st.integers(1, 3),
        N=st.integers(1, 3),
        T=st.integers(1, 6),
        B=st.integers(1, 6),
        P=st.integers(1, 3),
        window=st.sampled_from([None, 1, 2]),
        head_masks=st.booleans(),
        wanted=st.sampled_from(["all", "context", "queries"]),
        seed=st.integers(0, 2**31),
    )
)


@pytest.mark.parametrize("make", [row_blocks, packed, by_weights])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@settings(max_examples=8)
@given(shape=shapes)
def test_kernels_equal_the_dense_reference(
    make: Callable[..., "Kernel"], dtype: torch.dtype, tolerance: float, shape: dict[str, Any]
) -> None:
    compare(make, dtype, tolerance, **shape)


@pytest.mark.parametrize("T", [7, 12])
def test_row_blocks_equal_the_dense_reference(T: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import astra.attention.kernels.row_blocks
    from astra.attention.kernels.row_blocks import RowBlockKernel, cut_rows
    from astra.attention.masks import split_mask

    monkeypatch.setattr(astra.attention.kernels.row_blocks, "FEWEST_COLUMNS", 10)

    def make(rows: "Rows", prompt: "SharedPrompt", mask: Tensor) -> "Kernel":
        _, _, allowed = split_mask(rows.prompt, 2, 3, T, rows.queries // T, actions=T - 1)
        of_context, of_queries = allowed.split([rows.context, rows.queries])
        blocks = cut_rows(of_context, of_queries, T, 5, asked=rows.queries // T)
        assert len(blocks) > 2
        return RowBlockKernel(rows, prompt, mask, blocks, heads=H, dropout=0.0)

    for wanted in ("all", "context", "queries"):
        compare(
            make,
            torch.float64,
            1e-10,
            L=3,
            M=2,
            N=3,
            T=T,
            B=3,
            P=2,
            window=None,
            head_masks=True,
            wanted=wanted,
            seed=0,
        )


def compare(
    make: Callable[..., "Kernel"],
    dtype: torch.dtype,
    tolerance: float,
    *,
    L: int,
    M: int,
    N: int,
    T: int,
    B: int,
    P: int,
    window: int | None,
    head_masks: bool,
    wanted: str,
    seed: int,
    backward: bool = True,
    num_queries: int | None = None,
) -> None:
    from astra.attention.kernels.layout import Rows, SharedPrompt
    from astra.attention.masks import additive, split_mask

    torch.manual_seed(seed)
    Q = N if num_queries is None else num_queries
    _, _, allowed = split_mask(L, M, N, T, Q, window=window, actions=T - 1)
    num_context = allowed.shape[1] - L
    rows = Rows(prompts=P, prompt=L, batch=B, context=num_context, queries=T * Q)
    of = None if P == B else torch.randint(P, (B,))
    valid = torch.rand(B, 1, L + num_context) < 0.8
    valid[..., 0] = True
    mask = additive(allowed & valid, dtype)[:, None]
    if head_masks:
        mask = mask + torch.randn(1, H, *allowed.shape, dtype=dtype)
    prompt_mask = additive((torch.rand(P, 1, L, L) < 0.8) | torch.eye(L, dtype=torch.bool), dtype)
    prompt = SharedPrompt(torch.zeros(P, L, D, dtype=dtype), prompt_mask, of)

    num_keyed = {"all": rows.keyed, "context": B * num_context, "queries": 0}[wanted]
    inputs = [torch.randn(n, width, dtype=dtype) for n, width in [(num_keyed, D), (B * T * Q, D), (rows.keyed, 2 * D)]]
    weights = torch.randn(num_keyed + B * T * Q, D, dtype=dtype)

    def run(make: Callable[..., "Kernel"]) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_(backward) for tensor in (*inputs, mask)]
        outputs = make(rows, prompt, leaves[3])(leaves[0] if num_keyed else None, leaves[1] if Q else None, leaves[2])
        if backward:
            (outputs * weights).sum().backward()
        return [outputs.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    for mine, reference in zip(run(make), run(DenseReference), strict=True):
        torch.testing.assert_close(mine, reference, rtol=tolerance, atol=tolerance)


def flexible(flex: Callable[..., Any] | None) -> Callable[..., "Kernel"]:
    def make(rows: "Rows", prompt: "SharedPrompt", mask: Tensor) -> "Kernel":
        from astra.attention.kernels.flex import FlexKernel

        return FlexKernel(rows, prompt, mask, heads=H, flex=flex)

    return make


SIZES: dict[str, Any] = dict(L=3, M=2, N=3, T=5, B=3, P=2, window=None, seed=0)


@pytest.mark.filterwarnings("ignore", "error:FlexAttention does not run here")  # PyTorch warns that it is not compiled
@pytest.mark.parametrize("head_masks", [True, False])
@pytest.mark.parametrize("wanted", ["all", "queries"])
def test_flex_attention_equals_the_dense_reference(head_masks: bool, wanted: str) -> None:
    from torch.nn.attention.flex_attention import flex_attention

    with torch.no_grad():  # on a CPU it has no backward pass
        make = flexible(flex_attention)
        compare(make, torch.float32, 1e-5, **SIZES, head_masks=head_masks, wanted=wanted, backward=False)


@pytest.mark.filterwarnings("ignore", "error:FlexAttention does not run here")
def test_flex_attention_needs_no_queries() -> None:
    """Policies without queries, such as Gato, use it too."""
    from torch.nn.attention.flex_attention import flex_attention

    with torch.no_grad():
        make = flexible(flex_attention)
        compare(make, torch.float32, 1e-5, **SIZES, head_masks=True, wanted="context", backward=False, num_queries=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore", "error:FlexAttention does not run here")
def test_compiled_flex_attention_equals_the_dense_reference() -> None:
    with torch.no_grad():
        compare(flexible(None), torch.float32, 1e-5, **SIZES, head_masks=False, wanted="all", backward=False)


def test_dense_attention_is_used_where_flex_attention_does_not_run() -> None:
    def fails(*_: object, **__: object) -> Tensor:
        raise RuntimeError("no compiler")

    with pytest.warns(UserWarning, match="does not run here.*no compiler"):
        compare(flexible(fails), torch.float64, 1e-10, **SIZES, head_masks=True, wanted="all")


def test_dropout_drops_the_share_and_keeps_the_mean() -> None:
    from astra.attention.layers import drop

    x = torch.ones(400_001, requires_grad=True)
    dropped = drop(x, 0.1)
    assert (dropped == 0).float().mean() == pytest.approx(0.1, abs=0.003)
    assert dropped.mean().item() == pytest.approx(1, abs=0.003)
    assert all((dropped[place::4] == 0).float().mean() == pytest.approx(0.1, abs=0.006) for place in range(4))
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach())
