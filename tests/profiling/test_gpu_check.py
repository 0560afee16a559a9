"""The check of a GPU, here on a CPU: what it compares, and that it fails where it should."""

import signal
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    from astra.profiling import gpu_check

    for name in ("SMALL", "LONG"):
        shape = replace(getattr(gpu_check, name), T=4, B=2, width=32, heads=2)
        monkeypatch.setattr(gpu_check, name, shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_equal_the_dense_form_in_both_precisions(dtype: torch.dtype) -> None:
    from astra.profiling.gpu_check import check_kernels

    assert check_kernels("cpu", dtype).startswith("outputs and gradients equal the dense form: short within")


def test_a_kernel_that_differs_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    from astra.attention.transformer import Transformer
    from astra.profiling.gpu_check import check_kernels

    right = Transformer.forward
    monkeypatch.setattr(Transformer, "forward", lambda self, *rest, **names: 1.01 * right(self, *rest, **names))
    with pytest.raises(ValueError, match="short sequences differ by 2"):
        check_kernels("cpu")


def test_long_sequences_are_timed_against_the_dense_form() -> None:
    from astra.profiling.gpu_check import check_flex

    assert "times as fast as the dense form" in check_flex("cpu")


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.profiling import gpu_check

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu_check.main()
    assert capsys.readouterr().out.startswith("no GPU is visible to torch")


def test_flexattention_that_gives_way_fails_and_a_check_that_takes_too_long_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from astra.profiling import gpu_check

    def give_way(device: str) -> str:
        warnings.warn("FlexAttention does not run here, dense attention is used instead: no compiler", stacklevel=2)
        return "compiled"

    def wait(device: str) -> str:
        gpu_check._run(["bash", "-c", f"sleep 30 & echo $! > {tmp_path}/child; wait"])
        return "waited"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(gpu_check, "LIMIT", 1.0)
    monkeypatch.setattr(gpu_check, "CHECKS", {"first": str, "flex": give_way, "slow": wait, "late": str})
    before, begun = signal.getsignal(signal.SIGALRM), time.monotonic()
    with warnings.catch_warnings(), pytest.raises(SystemExit, match="1"):
        gpu_check.main()
    signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 10
    assert has_ended(int((tmp_path / "child").read_text()))
    printed = capsys.readouterr().out
    assert "ok        first: cuda" in printed
    assert "FAILED    flex: UserWarning: FlexAttention does not run here" in printed
    assert "FAILED    slow: TimeoutError: 1 seconds are over" in printed
    assert "FAILED    late: TimeoutError" in printed
    assert "1 of 4 without a failure" in printed


def has_ended(process: int) -> bool:
    """Return whether a process is gone within five seconds, or only waits to be reaped by its new parent."""
    status = Path(f"/proc/{process}/stat")
    for _ in range(50):
        try:
            if status.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_training_in_bfloat16_several_processes_and_the_export_run() -> None:
    from astra.profiling import gpu_check

    assert "after 20 updates the loss is" in gpu_check.check_bfloat16("cpu", updates=20)
    assert "1 process trained 4 updates" in gpu_check.check_processes("cpu")
    assert "equals the policy over" in gpu_check.check_export("cpu")
    assert "19M" in gpu_check.check_speed("cpu", ("19M",))
