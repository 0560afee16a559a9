"""Kernels of many shapes are kept, so that no shape is compiled twice."""

import os
import subprocess
import sys

import pytest
import torch

SHAPES = """
import torch
from astra.parallel.compiled_kernels import keep_compiled_kernels
{setting}
weights = torch.zeros(16, 16, dtype=torch.bfloat16)
for turn in range(2):
    print("turn", turn, flush=True)
    for rows in range(1, 1300):
        torch.zeros(rows, 16, dtype=torch.bfloat16) @ weights
"""


def compiled_again(setting: str) -> int:
    """Return how many kernels the second turn through all shapes compiles."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEDNN")}
    done = subprocess.run(
        [sys.executable, "-c", SHAPES.format(setting=setting)],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "ONEDNN_VERBOSE": "2", "OMP_NUM_THREADS": "1"},
    )
    return done.stdout.partition("turn 1")[2].count("create:cache_miss")


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU does not multiply in bfloat16")
def test_no_shape_is_compiled_twice() -> None:
    assert compiled_again("") > 1_000
    assert compiled_again("keep_compiled_kernels()") == 0
