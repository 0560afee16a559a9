"""A training on frames that are decoded while it runs, by other processes."""

import json
import shutil
from pathlib import Path

import pytest

from astra.cli.main import main
from tests.datasets.lerobot.recordings import write_version_3
from tests.hostile.commands import TINY

WEIGHTS = "checkpoints/last/policy/model.safetensors"
INTERVALS = ("--training.checkpoint-every", "2", "--training.validation-every", "4", "--training.updates", "4")


@pytest.mark.slow
def test_a_resumed_run_on_streamed_frames_equals_a_straight_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run, half = tmp_path / "data", tmp_path / "run", tmp_path / "half"
    write_version_3(data, lengths=(30, 20, 40, 25), size=(96, 96))
    monkeypatch.setenv("ASTRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASTRA_CACHE_GB", "0.001")
    command = ["train", "own-data", "--dataset", str(data), "--output", str(run), *TINY, *INTERVALS]
    assert main([*command, "--frames.gigabytes", "0.003"]) == 0
    assert "decoded while they are used" in capsys.readouterr().err
    assert json.loads((run / "config.json").read_text())["description"]["frames"]["decode"] == "streamed"
    shutil.copytree(run, half, symlinks=True)
    shutil.rmtree(half / "checkpoints/000004")
    monkeypatch.delenv("ASTRA_CACHE_GB")  # there is space now, and the run goes on as it began
    assert main(["train", "--output", str(half), "--resume"]) == 0
    assert (half / WEIGHTS).read_bytes() == (run / WEIGHTS).read_bytes()
