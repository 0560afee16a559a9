"""Training updates of Astra's trunk and of other implementations, with equal tokens, mask, loss and optimizer."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from astra.attention import masks
from astra.attention.kernels.row_blocks import row_blocks_of
from astra.attention.masks import additive, split_mask, trajectory_mask
from astra.attention.reference import DenseTransformer
from astra.attention.segments import Kind, interleave, segment_ids, sequence_ids
from astra.attention.transformer import SharedPrompt, Transformer
from astra.profiling.shapes import Shape


def in_bfloat16(update: Callable[[], object]) -> Callable[[], None]:
    """Return an update whose products are computed in bfloat16, as in a training with `precision=bfloat16`."""

    def mixed() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            update()

    return mixed


def tokens(shape: Shape, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sample prompt, state, query and action tokens, equal on every device."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(shape.L,), (shape.T, shape.M), (shape.T, shape.N), (shape.T, shape.N)]
    drawn = [torch.randn(shape.B, *size, shape.width, generator=generator).to(device) for size in sizes]
    prompt, states, queries, actions = drawn
    return prompt, states, queries, actions


def dense(shape: Shape, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """Return the whole sequence, its dense mask, and which tokens are queries."""
    prompt, states, queries, actions = tokens(shape, device)
    sequence = torch.cat([prompt, interleave(states, queries, actions)], dim=1)
    allowed = trajectory_mask(shape.L, shape.M, shape.N, shape.T, num_queries=shape.N)
    is_query = sequence_ids(shape.L, shape.M, shape.N, shape.T, shape.N).kind == Kind.QUERY
    return sequence, allowed.to(device), is_query.to(device)


def prompt_mask(shape: Shape) -> Tensor:
    """Return the additive mask inside a prompt."""
    ids = segment_ids(Kind.PROMPT, shape.L)
    return additive(masks.may_attend(ids, ids), torch.float32)[None, None]


def astra_outputs(shape: Shape, device: str = "cpu") -> tuple[Transformer, Callable[[], Tensor]]:
    """Build our trunk, and a function that computes the outputs of its queries with the split kernel."""
    prompt, states, queries, actions = tokens(shape, device)
    context = interleave(states, actions)[:, : -shape.N]
    _, _, allowed = split_mask(shape.L, shape.M, shape.N, shape.T, shape.N, actions=shape.T - 1)
    shared = SharedPrompt(prompt, prompt_mask(shape).to(device), None)
    mask = additive(allowed, torch.float32)[None, None].to(device)
    row_blocks = row_blocks_of(shape.L, shape.M, shape.N, shape.T, shape.N, actions=shape.T - 1)
    trunk = Transformer(layers=shape.layers, heads=shape.heads, width=shape.width).to(device)
    return trunk, lambda: trunk(shared, context, queries.flatten(1, 2), mask, context_out=False, row_blocks=row_blocks)


def hugging_face_outputs(shape: Shape, gelu: str = "gelu") -> tuple[nn.Module, Callable[[], Tensor]]:
    """Build a `GPT2Model` of the same size, and a function that computes the outputs of its queries with a dense mask.

    It has the same exact GELU, fused attention, no dropout and no cache. Its default, the tanh approximation of GELU
    (`gelu_new`), takes more time and memory here.
    """
    sequence, allowed, is_query = dense(shape)
    mask = additive(allowed, torch.float32)[None, None].expand(shape.B, 1, -1, -1)
    model = hugging_face_gpt2(shape, num_positions=sequence.shape[1], use_cache=False, gelu=gelu)
    return model, lambda: model(inputs_embeds=sequence, attention_mask=mask).last_hidden_state[:, is_query]


def hugging_face_gpt2(shape: Shape, *, num_positions: int, use_cache: bool, gelu: str = "gelu") -> Any:
    """Build a `GPT2Model` of the same size with fused attention and no dropout."""
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(
        vocab_size=1,
        n_positions=num_positions,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        activation_function=gelu,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=use_cache,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2Model(config)
    assert config._attn_implementation == "sdpa"
    return model


def naive_outputs(shape: Shape, device: str = "cpu") -> tuple[nn.Module, Callable[[], Tensor]]:
    """Build our trunk in the dense form: every token has Q, K and V, under one dense mask."""
    sequence, allowed, is_query = dense(shape, device)
    mask = additive(allowed, torch.float32)[None, None]
    trunk = DenseTransformer.like(Transformer(layers=shape.layers, heads=shape.heads, width=shape.width).to(device))
    return trunk, lambda: trunk(sequence, mask)[:, is_query]


def x_transformers_outputs(shape: Shape) -> tuple[nn.Module, Callable[[], Tensor]]:
    """Build an encoder of `x-transformers` of the same size, with its fused attention."""
    from x_transformers import Encoder

    sequence, allowed, is_query = dense(shape)
    model = Encoder(
        dim=shape.width,
        depth=shape.layers,
        heads=shape.heads,
        attn_dim_head=shape.width // shape.heads,
        attn_flash=True,
        ff_glu=False,
    )
    return model, lambda: model(sequence, attn_mask=allowed)[:, is_query]


CONTENDERS: dict[str, Callable[[Shape], tuple[nn.Module, Callable[[], Tensor]]]] = {
    "astra": astra_outputs,
    "hugging-face-gpt2": hugging_face_outputs,
    "hugging-face-gpt2 as it comes": partial(hugging_face_outputs, gelu="gelu_new"),
    "naive-dense": naive_outputs,
}
"""Contenders by name: a function that builds a module and the function of its outputs."""
if find_spec("x_transformers"):
    CONTENDERS["x-transformers"] = x_transformers_outputs


def make_update(name: str, shape: Shape) -> Callable[[], Tensor]:
    """Build the training update of a contender: outputs of the queries, a loss, gradients, AdamW."""
    module, outputs = CONTENDERS[name](shape)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)

    def update() -> Tensor:
        loss = outputs().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return update
