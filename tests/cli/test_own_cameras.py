"""Datasets with cameras as LeRobot records them, from `astra inspect` to the report, by their folder alone."""

import re
from pathlib import Path

import pytest

from astra.cli.main import main
from tests.datasets.lerobot.recordings import write_version_2, write_version_3

TINY = [
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--training.updates", "2", "--training.batch-size", "4", "--training.validation-every", "2"),
]


@pytest.mark.parametrize("write", [write_version_3, pytest.param(write_version_2, marks=pytest.mark.slow)])
def test_a_dataset_with_videos_is_inspected_trained_on_and_reported(
    tmp_path: Path, write: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(write)
    data, run = tmp_path / "data", tmp_path / "run"
    write(data, lengths=(7, 5, 9, 6))
    assert main(["inspect", "dataset", str(data), "--full"]) == 0
    assert re.search(r"observation.images.top +48 x 64 RGB frames", capsys.readouterr().out)
    assert main(["train", "own-data", "--dataset", str(data), "--output", str(run), *TINY]) == 0
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "mean action" in page
    assert page.count("data:image/") >= 1
