"""Cameras written as video: read back by Astra, described as LeRobot expects, copied unchanged, and protected."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from astra.cli.main import main
from astra.datasets import DatasetWriter, Episode, LeRobotDataset
from astra.datasets.lerobot.video.encoding import encode
from tests.datasets.lerobot.recordings import (
    CAMERA,
    decode_all,
    pictures,
    write_mp4,
    write_version_2,
    write_version_3,
)

LENGTHS = (6, 3, 8)


def write(folder: Path, make_episode: Callable[..., Episode], size: tuple[int, int] = (48, 64), fps: float = 5) -> None:
    with DatasetWriter(folder, fps=fps, video=True) as writer:
        for seed, length in enumerate(LENGTHS):
            plain = make_episode(seed, length=length)
            frames = {"observation.image": pictures(length, size, seed), CAMERA: pictures(length, (16, 16), seed + 9)}
            writer.add(Episode(instruction="go", columns={**plain.columns, **frames}, fps=fps))


def videos(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.mp4"))


@pytest.mark.parametrize("size", [(48, 64), (31, 45)])
@pytest.mark.parametrize("fps", [5, 29.97])
def test_frames_come_back_as_they_were_encoded_and_near_to_what_was_shown(
    tmp_path: Path, make_episode: Callable[..., Episode], size: tuple[int, int], fps: float
) -> None:
    write(tmp_path / "data", make_episode, size, fps)
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert dataset.spec.images == {"observation.image": size, CAMERA: (16, 16)}
    path = tmp_path / "data/videos/observation.image/chunk-000/file-000.mp4"
    assert np.array_equal(dataset.columns["observation.image"], decode_all(path))
    shown = np.concatenate([pictures(length, size, seed) for seed, length in enumerate(LENGTHS)])
    assert np.abs(dataset.columns["observation.image"].astype(int) - shown).mean() < 12
    assert np.array_equal(dataset.episode(1).columns["action"], make_episode(1, length=3).columns["action"])


def test_the_description_is_that_of_lerobot(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    write(tmp_path / "data", make_episode)
    info = json.loads((tmp_path / "data/meta/info.json").read_text())
    assert info["video_path"] == "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    assert info["features"][CAMERA]["dtype"] == "video"
    assert info["features"][CAMERA]["info"]["video.pix_fmt"] == "yuv420p"
    episodes = pq.ParquetFile(tmp_path / "data/meta/episodes/chunk-000/file-000.parquet").read()
    assert episodes[f"videos/{CAMERA}/from_timestamp"].to_pylist() == pytest.approx([0.0, 1.2, 1.8])
    assert episodes[f"videos/{CAMERA}/to_timestamp"].to_pylist() == pytest.approx([1.2, 1.8, 3.4])
    rows = pq.ParquetFile(tmp_path / "data/data/chunk-000/file-000.parquet").schema_arrow.names
    assert CAMERA not in rows
    assert "action" in rows
    assert len(json.loads((tmp_path / "data/meta/stats.json").read_text())[CAMERA]["mean"]) == 3


def test_equal_episodes_give_equal_files(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, make_episode)
    assert [path.read_bytes() for path in videos(tmp_path / "one")] == [
        path.read_bytes() for path in videos(tmp_path / "two")
    ]


def test_a_new_file_begins_when_one_is_full(
    tmp_path: Path, make_episode: Callable[..., Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "whole", make_episode)
    monkeypatch.setattr("astra.datasets.lerobot.video.encoding.MEGABYTES_PER_FILE", 0)
    write(tmp_path / "parts", make_episode)
    assert len(videos(tmp_path / "parts")) == 2 * len(LENGTHS)
    assert LeRobotDataset.open(tmp_path / "parts").columns[CAMERA].shape == (sum(LENGTHS), 16, 16, 3)


def test_a_changed_byte_is_found_before_anything_is_decoded(
    tmp_path: Path, make_episode: Callable[..., Episode]
) -> None:
    write(tmp_path / "data", make_episode)
    path = videos(tmp_path / "data")[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file-000\.mp4 is not the video that Astra wrote: its checksum differs"):
        LeRobotDataset.open(tmp_path / "data")


def test_a_failure_leaves_no_dataset(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    def fail() -> None:
        with DatasetWriter(tmp_path / "data", fps=5.0, video=True) as writer:
            writer.add(make_episode(0, camera=True))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["v2.1", "v3.0"])
def test_converting_and_merging_copies_videos_unchanged(tmp_path: Path, source: str) -> None:
    write_source = {"v2.1": write_version_2, "v3.0": write_version_3}[source]
    expected = write_source(tmp_path / "data")
    shutil.copytree(tmp_path / "data", tmp_path / "more")
    assert (
        main(["convert", "lerobot", str(tmp_path / "data"), str(tmp_path / "more"), "--output", str(tmp_path / "all")])
        == 0
    )
    merged = LeRobotDataset.open(tmp_path / "all")
    assert np.array_equal(merged.columns[CAMERA], np.concatenate([*expected, *expected]))
    copied, sources = ({path.read_bytes() for path in videos(tmp_path / name)} for name in ("all", "data"))
    assert copied == sources
    assert json.loads((tmp_path / "all/meta/info.json").read_text())["codebase_version"] == "v3.0"


def test_videos_that_are_no_mp4_files_are_encoded_again(tmp_path: Path) -> None:
    write_version_2(tmp_path / "data")
    info = tmp_path / "data/meta/info.json"
    info.write_text(info.read_text().replace(".mp4", ".mkv"))
    for seed, path in enumerate(videos(tmp_path / "data")):
        write_mp4(path.with_suffix(".mkv"), pictures(len(decode_all(path)), seed=seed))
        path.unlink()
    assert main(["convert", "lerobot", str(tmp_path / "data"), "--output", str(tmp_path / "made")]) == 0
    source, made = (LeRobotDataset.open(tmp_path / name).columns[CAMERA] for name in ("data", "made"))
    assert np.abs(made.astype(int) - source).mean() < 12


def test_videos_become_images_and_images_videos_if_asked(tmp_path: Path) -> None:
    expected = np.concatenate(write_version_3(tmp_path / "data"))
    names = [str(tmp_path / name) for name in ("data", "images", "again")]
    assert main(["convert", "lerobot", names[0], "--output", names[1], "--video", "False"]) == 0
    assert videos(tmp_path / "images") == []
    assert np.array_equal(LeRobotDataset.open(names[1]).columns[CAMERA], expected)
    assert main(["convert", "lerobot", names[1], "--output", names[2], "--video", "True"]) == 0
    assert len(videos(tmp_path / "again")) == 1
    assert LeRobotDataset.open(names[2]).columns[CAMERA].shape == expected.shape


@pytest.mark.slow
def test_equal_frames_give_equal_videos_whatever_lay_in_memory_before() -> None:
    """With x264's trees of macroblocks, 3 of 1,000 videos differ."""
    random = np.random.default_rng(0)
    frames = [pictures(length, (48, 64), seed) for seed, length in enumerate(LENGTHS)]
    junk: list[np.ndarray] = []
    videos = [set[bytes]() for _ in frames]
    for number in range(6_000):
        junk = [*junk[-30:], np.full(random.integers(1, 300_000), random.integers(0, 255), np.uint8)]
        videos[number % len(frames)].add(encode(frames[number % len(frames)], 10.0))
    assert [len(different) for different in videos] == [1] * len(frames)
