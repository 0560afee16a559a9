"""The precision of a training: what `auto` means, and that runs of one process may differ in it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.mark.parametrize(
    ("asked", "capable", "precision"),
    [
        ("auto", True, "bfloat16"),
        ("auto", False, "float32"),
        ("float32", True, "float32"),
        ("bfloat16", False, "bfloat16"),
    ],
)
def test_auto_is_bfloat16_where_the_device_multiplies_in_it(
    asked: str, capable: bool, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.training import setup
    from tests.training.linear_policy import training

    monkeypatch.setattr(setup, "multiplies_in_bfloat16", lambda: capable)
    config = training(precision=asked, threads=None)
    assert setup.precision_of(config, tmp_path) == precision
    accelerator = setup.build_accelerator(config, precision, tmp_path)
    with accelerator.autocast():
        product = torch.ones(2, 2, device=accelerator.device) @ torch.ones(2, 2, device=accelerator.device)
    assert product.dtype == getattr(torch, precision)


def test_a_run_keeps_the_precision_with_which_it_began(
    linear: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.training import setup
    from astra.training.run_folder import read_config
    from astra.training.train import train

    run, auto = tmp_path / "run", linear.training(precision="auto", updates=2)

    def trained_in(updates: int) -> str:
        data, config = (linear.windows(), linear.windows(seed=1)), replace(auto, updates=updates)
        train(linear.LinearConfig(), config, *data, run, statistics=linear.statistics(), resume=True, extend=True)
        return read_config(run)["description"]["precision"]

    monkeypatch.setattr(setup, "multiplies_in_bfloat16", lambda: False)
    assert trained_in(2) == "float32"
    monkeypatch.setattr(setup, "multiplies_in_bfloat16", lambda: True)
    assert setup.precision_of(auto, run) == "float32"
    assert trained_in(4) == "float32"
    assert setup.precision_of(auto, tmp_path / "another") == "bfloat16"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine trains on its accelerator")
def test_a_cpu_that_only_emulates_bfloat16_is_not_taken_for_one_that_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from astra.training.setup import multiplies_in_bfloat16

    for native, tiles, expected in ((True, False, True), (False, True, True), (False, False, False)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda tiles=tiles: tiles)
        assert multiplies_in_bfloat16() is expected
