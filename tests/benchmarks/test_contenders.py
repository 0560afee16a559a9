"""Peers must compute the same thing, or their ratio means nothing."""

from typing import Any

import torch


def test_hugging_face_peer_computes_the_same_outputs_from_the_same_weights() -> None:
    from transformers import GPT2Model

    from astra.attention.layers import Block
    from astra.benchmarks.contenders import Shape, astra_outputs, hugging_face_outputs

    shape = Shape(L=3, M=2, N=3, T=2, B=2, layers=2, heads=2, width=16)
    ours, run_ours = astra_outputs(shape)
    theirs, run_theirs = hugging_face_outputs(shape)
    assert isinstance(theirs, GPT2Model)
    with torch.no_grad():
        theirs.wpe.weight.zero_()
        for block, twin in zip(ours.blocks, theirs.h, strict=True):
            assert isinstance(block, Block)
            peer: Any = twin
            for name, mine in [("c_attn", block.attention.qkv), ("c_proj", block.attention.out)]:
                getattr(peer.attn, name).weight.copy_(mine.weight.T)
                getattr(peer.attn, name).bias.copy_(mine.bias)
            peer.mlp.c_fc.weight.copy_(block.feed_forward.up.weight.T)
            peer.mlp.c_fc.bias.copy_(block.feed_forward.up.bias)
            peer.mlp.c_proj.weight.copy_(block.feed_forward.down.weight.T)
            peer.mlp.c_proj.bias.copy_(block.feed_forward.down.bias)
        torch.testing.assert_close(run_ours(), run_theirs(), rtol=0, atol=1e-5)
