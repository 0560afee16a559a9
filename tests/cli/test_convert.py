"""Merging of recordings on the command line."""

from pathlib import Path

import numpy as np
import pytest

from astra.cli.main import main
from astra.datasets import DatasetWriter, Episode, LeRobotDataset


def test_columns_to_keep_are_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "a", fps=5.0) as writer:
        columns = {name: np.eye(3, dtype=np.float32) for name in ("observation.state", "observation.force", "action")}
        writer.add(Episode(instruction="push", columns=columns, fps=5.0))
    arguments = ["convert", "lerobot", str(tmp_path / "a"), "--output", str(tmp_path / "b")]
    with pytest.warns(UserWarning, match=r"the columns observation\.force are left out"):
        assert main([*arguments, "--observations", "observation.state"]) == 0
    assert LeRobotDataset.open(tmp_path / "b").spec.states == {"observation.state": 3}
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
