"""The precision of a training: what `auto` means, and that runs of one process may differ in it."""

from pathlib import Path

import pytest
import torch


@pytest.mark.parametrize(
    ("asked", "capable", "mixed"),
    [("auto", True, "bf16"), ("auto", False, "no"), ("float32", True, "no"), ("bfloat16", False, "bf16")],
)
def test_auto_is_bfloat16_where_the_device_multiplies_in_it(
    asked: str, capable: bool, mixed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.training import setup
    from tests.training.linear_policy import training

    monkeypatch.setattr(setup, "multiplies_in_bfloat16", lambda: capable)
    accelerator = setup.build_accelerator(training(precision=asked, threads=None), tmp_path)
    assert accelerator.mixed_precision == mixed
    with accelerator.autocast():
        product = torch.ones(2, 2, device=accelerator.device) @ torch.ones(2, 2, device=accelerator.device)
    assert product.dtype == (torch.bfloat16 if mixed == "bf16" else torch.float32)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine trains on its accelerator")
def test_a_cpu_that_only_emulates_bfloat16_is_not_taken_for_one_that_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from astra.training.setup import multiplies_in_bfloat16

    for native, tiles, expected in ((True, False, True), (False, True, True), (False, False, False)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda tiles=tiles: tiles)
        assert multiplies_in_bfloat16() is expected
