"""Other implementations compute the same outputs, or their ratio means nothing."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

SIZES = dict(L=3, M=2, N=3, T=2, B=2, layers=2, heads=2, width=16)


def test_hugging_face_peer_computes_the_same_outputs_from_the_same_weights() -> None:
    from transformers import GPT2Model

    from astra.attention.layers import Block
    from astra.profiling.contenders import astra_outputs, hugging_face_outputs
    from astra.profiling.shapes import Shape

    shape = Shape(**SIZES)
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


def test_naive_form_computes_the_same_outputs_from_the_same_weights() -> None:
    from astra.profiling.contenders import astra_outputs, naive_outputs
    from astra.profiling.shapes import Shape

    (ours, run_ours), (theirs, run_theirs) = astra_outputs(Shape(**SIZES)), naive_outputs(Shape(**SIZES))
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(run_ours(), run_theirs(), rtol=0, atol=1e-5)


def test_recomputing_the_history_gives_the_same_with_all_queries_and_with_the_last_ones() -> None:
    from astra.profiling.control_steps import full_recompute_step, last_queries_recompute_step, make_trunk
    from astra.profiling.shapes import Shape

    shape = Shape(**{**SIZES, "T": 5})
    trunk = make_trunk(shape)
    with torch.no_grad():
        full, last = full_recompute_step(trunk, shape)(), last_queries_recompute_step(trunk, shape)()
    torch.testing.assert_close(full, last, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("ratio", "better", "verdict"),
    [
        (2.0, "higher", "aim reached"),
        (1.2, "higher", "must reached, 20% off the aim"),
        (0.9, "higher", "missed by 10%"),
        (1.1, "lower", "must reached, 10% off the aim"),
        (None, "higher", "inconclusive: the machine is loaded"),
    ],
)
def test_verdicts(ratio: float | None, better: Any, verdict: str) -> None:
    from astra.profiling.shapes import Ratio

    must, aim = (1.0, 1.5) if better == "higher" else (1.2, 1.0)
    assert Ratio(name="row", ratio=ratio, must=must, aim=aim, better=better).verdict == verdict


@pytest.mark.slow
@pytest.mark.parametrize(("what", "rows"), [("training", 5), ("inference", 8)])
def test_benchmarks_give_every_row_of_the_table(what: str, rows: int) -> None:
    """In a process of its own: the shape checks of tests wrap functions that the exporter looks into."""
    from astra.profiling.exported_step import can_export

    sizes = ["--L", "4", "--M", "2", "--N", "3", "--layers", "1", "--heads", "2", "--width", "16", "--B", "2"]
    command = [sys.executable, "-m", "astra", "benchmark", what, "--rounds", "1", "--format", "json", *sizes]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(found) == rows + (what == "inference" and can_export())
    assert all(row["ratio"] is not None and row["ratio"] > 0 for row in found)
