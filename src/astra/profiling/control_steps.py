"""One control step after T timesteps of history: ours and those of other decoders, on trunks of the same size.

The comparison is of trunks, so all get random tokens. Every call repeats the same step, and overwrites what the last
call wrote into its cache.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from astra.attention.cache import SegmentCache
from astra.attention.layers import by_head, keys_and_values
from astra.attention.masks import additive, split_mask, trajectory_mask
from astra.attention.positions import RelativePositions, SegmentSizes
from astra.attention.reference import DenseTransformer
from astra.attention.segments import Kind, TokenIds, concatenate, interleave, segment_ids
from astra.attention.transformer import SharedPrompt, Transformer
from astra.profiling.contenders import hugging_face_gpt2, prompt_mask, tokens
from astra.profiling.shapes import Shape

Step = Callable[[], Tensor]
"""Function that computes one control step: the input of the action head."""


def make_trunk(shape: Shape) -> Transformer:
    """Build the trunk that all forms of ours share."""
    return Transformer(layers=shape.layers, heads=shape.heads, width=shape.width).eval()


class _Cached:
    """Segment cache, filled with T timesteps of random keys and values."""

    def __init__(self, trunk: Transformer, shape: Shape, window: int | None) -> None:
        self.trunk = trunk
        self.sizes = SegmentSizes(prompt=shape.L, state=shape.M, action=shape.N)
        self.cache = SegmentCache.empty(trunk, self.sizes, 1, window)
        self.positions = RelativePositions(self.sizes, shape.width, shape.heads)
        self._read(segment_ids(Kind.PROMPT, shape.L))
        # Fill the history in parts, so that no product is large.
        for first in range(0, shape.T, 50):
            steps = range(first, min(first + 50, shape.T))
            if window is not None:
                steps = range(max(steps.start, shape.T - window), steps.stop)
            parts = [
                concatenate(segment_ids(Kind.STATE, shape.M, t), segment_ids(Kind.ACTION, shape.N, t)) for t in steps
            ]
            if parts:
                self._read(concatenate(*parts))
        before = segment_ids(Kind.ACTION, shape.N, shape.T - 1)
        self.new = _batched(concatenate(before, segment_ids(Kind.STATE, shape.M, shape.T)))
        self.asked = _batched(segment_ids(Kind.QUERY, shape.N, shape.T))
        self.tokens = torch.randn(1, shape.N + shape.M, shape.width)
        self.queries = torch.randn(1, shape.N, shape.width)

    def _read(self, ids: TokenIds) -> None:
        """Fill columns of the cache with random keys and values."""
        columns = self.cache.fill(_batched(ids))
        for stored in (*self.cache.keys, *self.cache.values):
            stored[:, :, columns[0]] = torch.randn(1, stored.shape[1], columns.shape[1], stored.shape[3])

    def step(self) -> Tensor:
        valid = torch.ones(self.tokens.shape[:2], dtype=torch.bool)
        out = self.cache.extend(self.trunk, self.tokens, self.new, valid, self.queries, self.asked, self.positions)
        assert out is not None
        return out

    def denoise(self) -> Tensor:
        """Run one step of a diffusion head: the tokens of one action attend to the cache."""
        nothing = self.new.select(slice(0, 0))
        valid = torch.ones(1, 0, dtype=torch.bool)
        no_tokens = self.tokens[:, :0]
        out = self.cache.extend(self.trunk, no_tokens, nothing, valid, self.queries, self.asked, self.positions)
        assert out is not None
        return out


def astra_step(trunk: Transformer, shape: Shape, window: int | None = None) -> Step:
    """Return the step of `astra evaluate`: [a_{t-1}, s_t | q_t] through the segment cache."""
    return _Cached(trunk, shape, window).step


def diffusion_step(trunk: Transformer, shape: Shape, denoising_steps: int) -> Step:
    """Return the step of a diffusion head: [a_{t-1}, s_t] into the same cache, then denoising by the same trunk."""
    cached = _Cached(trunk, shape, None)

    def step() -> Tensor:
        out = cached.step()
        for _ in range(denoising_steps):
            out = cached.denoise()
        return out

    return step


def full_recompute_step(trunk: Transformer, shape: Shape) -> Step:
    """Return the step of the dense form: the whole history with the queries of all timesteps, at every step."""
    prompt, states, queries, actions = tokens(replace(shape, B=1))
    sequence = torch.cat([prompt, interleave(states, queries, actions)], dim=1)
    mask = additive(trajectory_mask(shape.L, shape.M, shape.N, shape.T, num_queries=shape.N), torch.float32)[None, None]
    dense = DenseTransformer.like(trunk)
    return lambda: dense(sequence, mask)[:, -2 * shape.N : -shape.N]


def last_queries_recompute_step(trunk: Transformer, shape: Shape) -> Step:
    """Return the step of the split form without a cache: the whole history, with queries of the present timestep."""
    prompt, states, queries, actions = tokens(replace(shape, B=1))
    context = interleave(states, actions)[:, : -shape.N]
    _, _, allowed = split_mask(shape.L, shape.M, shape.N, shape.T, shape.N, actions=shape.T - 1)
    wanted = torch.cat([allowed[: context.shape[1]], allowed[-shape.N :]])
    mask = additive(wanted, torch.float32)[None, None]
    shared = SharedPrompt(prompt, prompt_mask(shape), None)
    return lambda: trunk(shared, context, queries[:, -1], mask, context_out=False)


class _AppendingKernel:
    """Causal attention of one layer over preallocated keys and values: the usual KV cache of a decoder."""

    def __init__(self, shape: Shape, history: int) -> None:
        size = (1, shape.heads, history + shape.M + 2 * shape.N, shape.width // shape.heads)
        self.keys, self.values = torch.randn(size), torch.randn(size)
        self.heads = shape.heads
        self.length = history

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        assert q_keyed is not None
        keys, values = keys_and_values(keys_values[None], self.heads)
        until = self.length + len(q_keyed)
        self.keys[:, :, self.length : until] = keys
        self.values[:, :, self.length : until] = values
        mask = None
        if len(q_keyed) > 1:
            mask = torch.ones(len(q_keyed), until, dtype=torch.bool).tril(self.length)
        q = by_head(q_keyed[None], self.heads)
        self.length = until
        mixed = F.scaled_dot_product_attention(q, self.keys[:, :, :until], self.values[:, :, :until], attn_mask=mask)
        return mixed.transpose(1, 2).flatten(2)[0]


def autoregressive_step(trunk: Transformer, shape: Shape) -> Step:
    """Return Gato's step: decode one action token after the other, on our trunk with a KV cache.

    The first pass has the last action token of the previous step and the state; every pass gives one action token.
    """
    history = shape.L + shape.T * (shape.M + shape.N)
    kernels = [_AppendingKernel(shape, history) for _ in trunk.blocks]
    first, one = torch.randn(1 + shape.M, shape.width), torch.randn(1, shape.width)

    def step() -> Tensor:
        for kernel in kernels:
            kernel.length = history
        out = first
        for token in range(shape.N):
            rows = one if token else first
            for block, kernel in zip(trunk.blocks, kernels, strict=True):
                rows = block(rows, len(rows), kernel)
            out = trunk.final_norm(rows)
        return out

    return step


def hugging_face_step(shape: Shape) -> Step:
    """Return the step of Hugging Face's GPT-2 with its own KV cache: decode one action token after the other."""
    from transformers import DynamicCache

    model = hugging_face_gpt2(shape, num_positions=shape.L + (shape.T + 2) * (shape.M + shape.N), use_cache=True).eval()
    history = shape.L + shape.T * (shape.M + shape.N)
    cache = DynamicCache(config=model.config)
    model(inputs_embeds=torch.randn(1, history, shape.width), past_key_values=cache)
    first, one = torch.randn(1, 1 + shape.M, shape.width), torch.randn(1, 1, shape.width)

    def step() -> Tensor:
        out = first
        for token in range(shape.N):
            out = model(inputs_embeds=one if token else first, past_key_values=cache).last_hidden_state
        cache.crop(history - cache.get_seq_length())  # negative: number of tokens to remove
        return out

    return step


def _batched(ids: TokenIds) -> TokenIds:
    return TokenIds(ids.kind[None], ids.timestep[None], ids.slot[None])
