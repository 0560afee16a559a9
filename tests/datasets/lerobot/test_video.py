"""Cameras that are stored as video: the exact frame of each timestep, or one message that names file and episode."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.datasets.lerobot.video import column as video_column
from astra.frames import resize
from tests.datasets.lerobot.recordings import CAMERA, LENGTHS, pictures, write_mp4, write_version_3

VIDEO = f"videos/{CAMERA}/chunk-000/file-000.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def check(folder: Path, expected: list[np.ndarray]) -> None:
    dataset = LeRobotDataset.open(folder)
    assert dataset.spec.images == {CAMERA: expected[0].shape[1:3]}
    assert np.array_equal(dataset.columns[CAMERA], np.concatenate(expected))
    for index, frames in reversed(list(enumerate(expected))):
        assert np.array_equal(dataset.episode(index).columns[CAMERA], frames)


def edit_episodes(folder: Path, column: str, values: list[Any]) -> None:
    table = pq.ParquetFile(folder / EPISODES).read()
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), folder / EPISODES)


@pytest.mark.parametrize(
    "encoding",
    [
        {"codec": "libx264", "keyframes": 1},
        {"codec": "libx264", "keyframes": 250},
        {"codec": "libx264", "pixels": "yuv444p", "size": (45, 63)},
        {"codec": "libx264", "pixels": "gray"},
        {"codec": "libx265"},
        {"codec": "libsvtav1", "keyframes": 2, "size": (64, 64)},
        {"codec": "libsvtav1", "pixels": "yuv420p10le", "size": (64, 64)},
        {"codec": "mpeg4"},
    ],
    ids=lambda encoding: "-".join(map(str, encoding.values())),
)
def test_every_timestep_gets_its_frame_to_the_bit(tmp_path: Path, encoding: dict[str, Any]) -> None:
    check(tmp_path / "data", write_version_3(tmp_path / "data", **encoding))


@pytest.mark.parametrize("per_file", [1, 3])
def test_a_file_may_hold_one_episode_or_many(tmp_path: Path, per_file: int) -> None:
    check(tmp_path / "data", write_version_3(tmp_path / "data", per_file=per_file))


def test_stretches_in_any_order_with_unused_frames_between_are_found(tmp_path: Path) -> None:
    lengths = (6, 8, 5, 90, 7)
    expected = write_version_3(tmp_path / "data", lengths=lengths, per_file=5)
    order = [4, 2, 0]  # of an edited dataset: episodes 1 and 3 are gone
    folder = tmp_path / "edited"
    write_version_3(folder, lengths=[lengths[index] for index in order], per_file=3)
    (tmp_path / "data" / VIDEO).replace(folder / VIDEO)
    edit_episodes(folder, f"videos/{CAMERA}/from_timestamp", [10.9, 1.4, 0.0])
    check(folder, [expected[index] for index in order])


def test_many_files_take_no_longer_each_than_few(monkeypatch: pytest.MonkeyPatch) -> None:
    number, length = 20_000, 10
    video = video_column.VideoColumn(
        column=CAMERA,
        size=(48, 64),
        fps=10.0,
        files=tuple(Path(f"{file}.mp4") for file in range(number)),
        file_of_episode=np.arange(number)[::-1],
        starts=np.zeros(number),
        ends=np.arange(1, number + 1) * length,
        timestamps=None,
    )
    read = []
    monkeypatch.setattr(video_column.VideoColumn, "_read_file", lambda _, path, rows: read.append((path, *rows)) or ())
    begun = time.process_time()
    assert list(video.read(3, number * length)) == []
    assert time.process_time() - begun < 1
    assert read[:2] == [(video.files[-1], *range(3, 10)), (video.files[-2], *range(10, 20))]
    assert len(read) == number


def test_no_frame_is_decoded_twice_to_fill_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version_3(tmp_path / "data", per_file=3, keyframes=250)
    decoded = []

    def counted(*arguments: Any) -> Iterator[np.ndarray]:
        for frame in decode(*arguments):
            decoded.append(frame)
            yield frame

    decode = video_column.decode_frames
    monkeypatch.setattr(video_column, "decode_frames", counted)
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert len(decoded) == sum(LENGTHS)
    again = LeRobotDataset.open(tmp_path / "data")
    assert np.array_equal(again.columns[CAMERA], dataset.columns[CAMERA])
    assert len(decoded) == sum(LENGTHS)


def test_frames_are_cached_as_a_policy_resizes_them(tmp_path: Path) -> None:
    expected = np.concatenate(write_version_3(tmp_path / "data"))
    small = LeRobotDataset.open(tmp_path / "data", frame_size=(16, 16))
    resized = resize(torch.from_numpy(expected).permute(0, 3, 1, 2), (16, 16)).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(small.columns[CAMERA], resized)
    assert small.spec.images == {CAMERA: (48, 64)}


def test_times_without_timestamps_follow_the_frame_rate(tmp_path: Path) -> None:
    expected = write_version_3(tmp_path / "data")
    path = tmp_path / "data/data/chunk-000/file-000.parquet"
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["timestamp"]), path)
    check(tmp_path / "data", expected)


def refused(folder: Path) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        LeRobotDataset.open(folder)
    return str(caught.value)


def test_a_missing_video_is_named_with_its_episode(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=1)
    (tmp_path / "data" / VIDEO.replace("file-000", "file-001")).unlink()
    said = refused(tmp_path / "data")
    assert f"column '{CAMERA}', episode 1" in said
    assert "file-001.mp4 is missing" in said
    assert "copy the dataset again" in said


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("muxing", [{}, {"movflags": "faststart"}], ids=["index-last", "index-first"])
def test_a_truncated_video_is_named(tmp_path: Path, share: float, muxing: dict[str, str]) -> None:
    write_version_3(tmp_path / "data", muxing=muxing)
    path = tmp_path / "data" / VIDEO
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert str(path) in (said := refused(tmp_path / "data"))
    assert "again" in said


def test_a_video_that_ends_early_is_named_with_the_timestep(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=3)
    write_mp4(tmp_path / "data" / VIDEO, pictures(10))
    said = refused(tmp_path / "data")
    assert f"column '{CAMERA}', episode 1, timestep 3" in said
    assert "the video ends with the frame at 0.9 s, but one at 1 s is needed" in said


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=3, keyframes=1)
    path = tmp_path / "data" / VIDEO
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place, size = packets[8].pos, packets[8].size
    assert place is not None
    content = bytearray(path.read_bytes())
    content[place + 4 : place + size] = bytes(size - 4)
    path.write_bytes(content)
    said = refused(tmp_path / "data")
    assert f"column '{CAMERA}', episode 1, timestep 1" in said
    assert "copy the dataset again" in said


def test_a_variable_frame_rate_is_refused_by_name(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=3)
    times = [0.1 * n + (0.04 if n % 3 == 2 else 0.0) for n in range(sum(LENGTHS))]
    write_mp4(tmp_path / "data" / VIDEO, pictures(sum(LENGTHS)), times=times)
    assert "variable frame rate" in (said := refused(tmp_path / "data"))
    assert "encode it again at 10 frames per second" in said


def test_another_frame_rate_is_refused(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=3)
    write_mp4(tmp_path / "data" / VIDEO, pictures(sum(LENGTHS)), fps=4)
    assert "the video has 4 frames per second, but info.json says 10" in refused(tmp_path / "data")


def test_stretches_that_begin_between_frames_are_refused(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=3)
    edit_episodes(tmp_path / "data", f"videos/{CAMERA}/from_timestamp", [0.0, 0.74, 1.2])
    said = refused(tmp_path / "data")
    assert "episode 1, timestep 0: no frame of the video is at 0.74 s" in said


@pytest.mark.parametrize("start", [float("nan"), float("inf"), -0.1])
def test_stretches_that_begin_nowhere_are_refused(tmp_path: Path, start: float) -> None:
    write_version_3(tmp_path / "data", per_file=3)
    edit_episodes(tmp_path / "data", f"videos/{CAMERA}/from_timestamp", [0.0, start, 1.2])
    assert f"episode 1 has videos/{CAMERA}/from_timestamp" in refused(tmp_path / "data")


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=3)
    write_mp4(tmp_path / "data" / VIDEO, pictures(sum(LENGTHS), (32, 32)))
    assert "has frames of 32 x 32 pixels, but info.json says 48 x 64" in refused(tmp_path / "data")


def test_depth_is_refused(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data", per_file=3)
    path = tmp_path / "data/meta/info.json"
    info = json.loads(path.read_text())
    info["features"][CAMERA]["info"] = {"video.is_depth_map": True}
    path.write_text(json.dumps(info))
    assert "holds depth, and Astra reads colors: list the columns to read" in refused(tmp_path / "data")
    assert LeRobotDataset.open(tmp_path / "data", ["observation.state"]).spec.images == {}


@pytest.mark.parametrize("content", ["#EXTM3U\n#EXTINF:1\nhttp://127.0.0.1:9/x.ts\n", "ffconcat version 1.0\nfile x\n"])
def test_a_playlist_in_place_of_a_video_is_not_followed(tmp_path: Path, content: str) -> None:
    write_version_3(tmp_path / "data")
    (tmp_path / "data" / VIDEO).write_text(content)
    assert "is not a complete video" in refused(tmp_path / "data")


def test_a_path_out_of_the_dataset_is_refused(tmp_path: Path) -> None:
    write_version_3(tmp_path / "data")
    path = tmp_path / "data/meta/info.json"
    for bad in ("../{video_key}.mp4", "videos/{camera}.mp4", 3):
        path.write_text(json.dumps({**json.loads(path.read_text()), "video_path": bad}))
        assert "video_path is" in refused(tmp_path / "data")
    path.write_text(json.dumps({**json.loads(path.read_text()), "video_path": None}))
    assert f"{path} has no video_path" in refused(tmp_path / "data")


def test_inspecting_decodes_the_first_frame_and_in_full_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_version_3(tmp_path / "data", per_file=1)
    assert main(["inspect", "dataset", str(tmp_path / "data")]) == 0
    assert "48 x 64 RGB frames, stored as video" in capsys.readouterr().out
    path = tmp_path / "data" / VIDEO.replace("file-000", "file-002")
    write_mp4(path, pictures(3))
    assert main(["inspect", "dataset", str(tmp_path / "data")]) == 1
    assert main(["inspect", "dataset", str(tmp_path / "data"), "--full"]) == 2
    assert "episode 2, timestep 3: the video ends" in capsys.readouterr().err
