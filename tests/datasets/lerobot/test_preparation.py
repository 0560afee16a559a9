"""Conversions that are killed: nothing looks whole, and the next attempt encodes only what is missing."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.datasets.lerobot import preparation
from tests.datasets.lerobot.recordings import write_version_3

LENGTHS = (4, 5, 3, 6, 4, 5)


def convert(source: Path, destination: Path, video: bool, workers: int = 1) -> int:
    options = ["--video", str(video), "--workers", str(workers)]
    return main(["convert", "lerobot", str(source), "--output", str(destination), *options])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a dataset with images, so that conversions to either kind encode frames."""
    write_version_3(tmp_path / "videos", lengths=LENGTHS)
    assert convert(tmp_path / "videos", tmp_path / "images", video=False) == 0
    return tmp_path / "images"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("video", [False, True])
def test_a_killed_conversion_leaves_no_dataset_and_goes_on(
    images: Path, tmp_path: Path, video: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert convert(images, tmp_path / "straight", video) == 0
    calls: list[int] = []
    prepare = preparation.prepare

    def slow(stored: Any, *arguments: Any) -> Any:
        calls.append(len(stored["action"]))
        time.sleep(0.05)
        return prepare(stored, *arguments)

    monkeypatch.setattr(preparation, "prepare", slow)
    kept = tmp_path / ".out.prepared"
    process = os.fork()
    if not process:
        convert(images, tmp_path / "out", video)
        os._exit(0)
    while len(list(kept.glob("[!.]*"))) < 3:
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    encoded = len(list(kept.glob("[!.]*")))
    assert not (tmp_path / "out").exists()
    assert convert(images, tmp_path / "out", video) == 0
    assert len(calls) == len(LENGTHS) - encoded
    assert files(tmp_path / "out") == files(tmp_path / "straight")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_is_damaged_or_of_other_contents_is_encoded_again(images: Path, tmp_path: Path) -> None:
    assert convert(images, tmp_path / "straight", video=True) == 0
    stored = {"action": np.zeros((4, 2), np.float32), "observation.images.top": np.zeros((4, 48, 64, 3), np.uint8)}
    other = preparation.Preparations(tmp_path / ".out.prepared", 1)
    other.start()
    with pytest.raises(FileExistsError, match="another process is converting to the same place"):
        preparation.Preparations(tmp_path / ".out.prepared", 1).start()
    other.submit(stored, (), ("observation.images.top",), 10)()
    episode = LeRobotDataset.open(images).episode(2)
    place = (
        tmp_path
        / ".out.prepared"
        / preparation._key(
            {name: episode.columns[name] for name in ("observation.state", "action", "observation.images.top")},
            (),
            ("observation.images.top",),
            10,
        )
    )
    place.mkdir()
    (place / preparation.SUMMARY).write_text("{}")
    other.stop(finished=False)
    assert convert(images, tmp_path / "out", video=True) == 0
    assert files(tmp_path / "out") == files(tmp_path / "straight")


@pytest.mark.slow
def test_several_workers_write_the_same_files(images: Path, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        assert convert(images, tmp_path / name, video=True, workers=workers) == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
