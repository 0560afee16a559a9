import sys
from pathlib import Path

import numpy as np
import pytest

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.profiling.frame_loading.recordings import write_recordings


@pytest.mark.slow
def test_every_row_of_gathering_is_measured() -> None:
    from astra.profiling.loading import gathering_and_updates

    vectors, frames, share, frozen = gathering_and_updates(rounds=1)
    assert "windows/s" in vectors.name
    assert None not in (vectors.ratio, frames.ratio, share.ratio, frozen.ratio)
    assert share.ratio is not None
    assert share.ratio < 0.5
    assert frozen.ratio is not None
    assert frozen.ratio > 1


def test_epochs_are_measured_on_equal_recordings(tmp_path: Path) -> None:
    from astra.profiling.frame_loading.epochs import measure_epochs, measure_filling

    sizes = {"size": (120, 128), "cameras": 2, "episodes": 2, "length": 16, "video": True}
    folders = [write_recordings(tmp_path / name, **sizes) for name in ("one", "two")]
    one, two = (LeRobotDataset.open(folder) for folder in folders)
    assert all(np.array_equal(one.columns[name], two.columns[name]) for name in one.columns)
    rates = measure_epochs(folders[0], None)
    assert rates.later > rates.first > 0
    assert min(measure_filling(folders[0], rounds=1)) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["memory", "--peer", sys.executable], "--peer belongs to astra benchmark loading"),
        (["loading", "--peer", "nowhere/python"], "nowhere/python is no file"),
    ],
)
def test_a_peer_that_cannot_take_part_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *arguments]) == 2
    assert message in capsys.readouterr().err
