"""Frames that are decoded while training: equal to cached ones, each once per epoch, in bounded memory."""

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from astra.datasets import LeRobotDataset, Windows
from astra.datasets.lerobot.streamed import FrameConfig
from astra.datasets.lerobot.video import column as video_column
from astra.datasets.stretches import StreamSampler
from tests.datasets.lerobot.recordings import CAMERA, write_version_3

LENGTHS = (7, 5, 9, 12, 6, 8)
SIZE = (16, 16)
ROW = 16 * 16 * 3


class InThisProcess:
    """Pool that decodes at once, so that calls can be counted."""

    workers = 1

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def submit(self, function: Any, *arguments: Any) -> Any:
        found = function(self.stream._recorded, self.stream.shapes, *arguments)
        return type("Done", (), {"result": lambda self: found})()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_version_3(tmp_path / "data", lengths=LENGTHS, per_file=2, keyframes=4)
    return tmp_path / "data"


def streamed(folder: Path, rows: int = 40, **options: Any) -> Windows:
    config = FrameConfig(decode="streamed", gigabytes=rows * ROW / 1e9, workers=1)
    windows = Windows(LeRobotDataset.open(folder, frame_size=SIZE, frames=config), timesteps=3, **options)
    assert windows.stream is not None
    windows.stream._pool = InThisProcess(windows.stream)
    return windows


def cached(folder: Path, **options: Any) -> Windows:
    return Windows(LeRobotDataset.open(folder, frame_size=SIZE), timesteps=3, **options)


def test_streamed_frames_are_the_cached_ones_to_the_bit(folder: Path) -> None:
    for ending in (False, True):
        windows, expected = streamed(folder, ending=ending), cached(folder, ending=ending)
        sampler = windows.sampler(5, seed=0)
        assert isinstance(sampler, StreamSampler)
        for indices in [next(sampler) for _ in range(12)] + [np.arange(len(windows))]:
            batch, same = windows.batch(indices), expected.batch(indices)
            assert torch.equal(batch.images[CAMERA], same.images[CAMERA])
            assert torch.equal(batch.actions, same.actions)


def test_a_batch_is_complete_though_a_signal_to_all_processes_has_ended_the_workers(folder: Path) -> None:
    class Dead:
        workers = 1

        def submit(self, function: Any, *arguments: Any) -> Any:
            raise BrokenProcessPool("a worker has died")

    windows, expected = streamed(folder), cached(folder)
    assert windows.stream is not None
    windows.stream._pool = Dead()  # pyright: ignore[reportAttributeAccessIssue]
    sampler = windows.sampler(5, seed=0)
    indices = next(sampler)
    assert torch.equal(windows.batch(indices).images[CAMERA], expected.batch(indices).images[CAMERA])
    with pytest.raises(BrokenProcessPool):  # there was no signal
        next(sampler)


def test_episodes_may_be_chosen_in_any_order(folder: Path) -> None:
    windows, expected = streamed(folder, episodes=[3, 1, 4]), cached(folder, episodes=[3, 1, 4])
    assert windows.stretches(100) == [(0, 12), (12, 17), (17, 23)]
    sampler = windows.sampler(5, seed=0)
    for indices in [next(sampler) for _ in range(6)]:
        assert torch.equal(windows.batch(indices).images[CAMERA], expected.batch(indices).images[CAMERA])


@pytest.mark.parametrize("rows", [40, 10], ids=["whole-episodes", "parts-of-long-ones"])
def test_every_epoch_has_every_window_once_and_decodes_frames_once(
    folder: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, decoded, largest = streamed(folder, rows), [], 0

    def counted(*arguments: Any) -> Iterator[np.ndarray]:
        for frame in decode(*arguments):
            decoded.append(frame)
            yield frame

    decode = video_column.decode_frames
    monkeypatch.setattr(video_column, "decode_frames", counted)
    sampler = windows.sampler(1, seed=0)
    stream, shown = windows.stream, []
    assert stream is not None
    per_epoch = sum(until - first for first, until in (windows.rows(*part) for part in windows.stretches(rows // 2)))
    assert per_epoch == sum(LENGTHS) if rows == 40 else per_epoch > sum(LENGTHS)
    for _ in range(2):
        epoch = []
        for _ in range(len(windows)):
            indices = next(sampler)
            windows.batch(indices)
            epoch += indices.tolist()
            largest = max(largest, sum(until - first for first, until in stream._held))
        assert sorted(epoch) == list(range(len(windows)))
        shown.append(epoch)
        assert len(decoded) <= len(shown) * per_epoch + sum(until - first for first, until in stream._ahead)
    assert shown[0] != shown[1]
    assert largest <= rows // 2


def test_the_order_goes_on_after_a_resume_and_refuses_another_one(folder: Path) -> None:
    windows = streamed(folder)
    straight = windows.sampler(7, seed=0)
    batches = [next(straight) for _ in range(20)]
    saved = windows.sampler(7, seed=0)
    for _ in range(11):
        next(saved)
    resumed = streamed(folder).sampler(7, seed=0)
    resumed.load_state_dict(saved.state_dict())
    assert all(np.array_equal(next(resumed), batch) for batch in batches[11:])
    for other in (streamed(folder, rows=30), cached(folder)):
        with pytest.raises(ValueError, match="the data order was saved with"):
            other.sampler(7, seed=0).load_state_dict(saved.state_dict())


def test_processes_share_the_episodes_of_an_epoch_without_overlap(folder: Path) -> None:
    windows, shares = streamed(folder), []
    for rank in range(2):
        sampler = windows.sampler(1, seed=0, rank=rank, num_processes=2)
        assert isinstance(sampler, StreamSampler)
        shares.append([index for part, _ in sampler._deal(0) for index in part.tolist()])
        assert [int(next(sampler)[0]) for _ in shares[-1]] == shares[-1]
    assert sorted(shares[0] + shares[1]) == list(range(len(windows)))
    assert abs(len(shares[0]) - len(shares[1])) <= max(LENGTHS)
    with pytest.raises(ValueError, match="only 6 stretches"):
        windows.sampler(1, seed=0, rank=0, num_processes=7)


def test_a_set_beyond_the_limit_of_the_cache_is_streamed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASTRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASTRA_CACHE_GB", str(30 * ROW / 1e9))
    with pytest.raises(OSError, match="set ASTRA_CACHE_GB to a higher limit"):
        LeRobotDataset.open(folder, frame_size=SIZE, frames=FrameConfig(decode="once"))
    dataset = LeRobotDataset.open(folder, frame_size=SIZE)
    assert "decoded while they are used" in capsys.readouterr().err
    monkeypatch.delenv("ASTRA_CACHE_GB")
    expected = LeRobotDataset.open(folder, frame_size=SIZE).columns[CAMERA]
    assert dataset.columns[CAMERA].shape == expected.shape
    assert np.array_equal(dataset.columns[CAMERA][3:20], expected[3:20])
    assert np.array_equal(dataset.episode(3).columns[CAMERA].shape, (12, 48, 64, 3))


def test_stretches_come_in_another_order_in_every_epoch_and_with_every_seed(folder: Path) -> None:
    windows = streamed(folder)

    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        sampler = windows.sampler(1, seed=seed)
        assert isinstance(sampler, StreamSampler)
        return [rows for _, group in sampler._deal(epoch) for rows in group]

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert all(sorted(each) == sorted(orders[0]) for each in orders)
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
    assert order(0, 1) == orders[1]
