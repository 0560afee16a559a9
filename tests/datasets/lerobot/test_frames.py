"""Frames in the cache: at the size that a policy reads, and not at all where nobody needs them."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from astra.cli.main import main
from astra.datasets import DatasetWriter, Episode, LeRobotDataset
from astra.datasets.merging import merge
from astra.frames import resize

CAMERAS = {
    "observation.images.wide": (48, 64),
    "observation.images.high": (30, 8),
    "observation.images.exact": (16, 16),
}
SIZE = (16, 16)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASTRA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path, make_episode: Callable[..., Episode]) -> Path:
    random = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "cameras", fps=5.0) as writer:
        for seed, length in enumerate((3, 5, 2)):
            plain = make_episode(seed, length=length)
            frames = {
                camera: random.integers(0, 256, (length, *size, 3), dtype=np.uint8) for camera, size in CAMERAS.items()
            }
            writer.add(Episode(instruction="go", columns={**plain.columns, **frames}, fps=5.0))
    return tmp_path / "cameras"


def cached(root: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_size for path in root.rglob("*.npy")}


def test_frames_are_cached_as_a_policy_resizes_them_and_never_larger_than_recorded(folder: Path) -> None:
    recorded, small = LeRobotDataset.open(folder).columns, LeRobotDataset.open(folder, frame_size=SIZE)
    for camera in ("observation.images.wide", "observation.images.exact"):
        frames = torch.from_numpy(np.array(recorded[camera])).permute(0, 3, 1, 2)
        assert np.array_equal(small.columns[camera], resize(frames, SIZE).permute(0, 2, 3, 1).numpy())
    assert np.array_equal(small.columns["observation.images.high"], recorded["observation.images.high"])
    assert small.spec.images == CAMERAS


def test_the_cache_costs_what_the_size_of_the_policy_costs(folder: Path, root: Path) -> None:
    LeRobotDataset.open(folder, frame_size=SIZE)
    rows, header = 10, 128
    assert cached(root)["observation.images.wide%2F16x16.npy"] == header + rows * 16 * 16 * 3
    assert cached(root)["observation.images.exact.npy"] == header + rows * 16 * 16 * 3
    assert max(cached(root).values()) == header + rows * 16 * 16 * 3


def test_another_size_is_cached_beside_the_first_and_what_is_there_is_kept(folder: Path, root: Path) -> None:
    first = LeRobotDataset.open(folder, frame_size=SIZE)
    before = cached(root)
    second = LeRobotDataset.open(folder, frame_size=(8, 8))
    assert cached(root).keys() - before.keys() == {
        f"{name}%2F8x8.npy"
        for name in ("observation.images.wide", "observation.images.high", "observation.images.exact")
    }
    assert second.columns["observation.images.wide"].shape == (10, 8, 8, 3)
    assert first.columns["observation.images.wide"].shape == (10, 16, 16, 3)


def test_an_episode_has_its_frames_as_they_were_recorded(folder: Path) -> None:
    recorded = LeRobotDataset.open(folder)
    for dataset in (LeRobotDataset.open(folder, frame_size=SIZE), LeRobotDataset.open(folder, decode=False)):
        for index in range(3):
            columns = dataset.episode(index).columns
            rows = slice(recorded.starts[index], recorded.ends[index])
            assert columns.keys() == recorded.columns.keys()
            for column, values in recorded.columns.items():
                assert np.array_equal(columns[column], values[rows]), column


def test_inspecting_and_merging_cache_no_frames(
    folder: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "dataset", str(folder)]) == 0
    assert "48 x 64 RGB frames" in capsys.readouterr().out
    list(merge([folder, folder], tmp_path / "merged"))
    assert cached(root).keys() == {"action.npy", "observation.state.npy", "observation.gripper.npy"}
    merged, source = LeRobotDataset.open(tmp_path / "merged"), LeRobotDataset.open(folder)
    for camera in CAMERAS:
        assert np.array_equal(merged.columns[camera], np.tile(source.columns[camera], (2, 1, 1, 1)))


def test_inspecting_refuses_a_camera_whose_frames_are_no_pictures_of_8_bits(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((48, 64), 600, np.uint16)).save(file, "PNG")
    path = folder / "data/chunk-000/file-000.parquet"
    table = pq.ParquetFile(path).read()
    frames = pa.array([{"bytes": file.getvalue(), "path": None}] * len(table))
    place = table.schema.get_field_index("observation.images.wide")
    pq.write_table(table.set_column(place, "observation.images.wide", frames), path)
    assert main(["inspect", "dataset", str(folder)]) == 2
    assert (
        "'observation.images.wide', episode 0, timestep 0: got a frame of more than 8 bits" in capsys.readouterr().err
    )


def test_a_full_inspection_finds_the_one_frame_that_is_damaged_and_caches_none(
    folder: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "data/chunk-000/file-000.parquet"
    table = pq.ParquetFile(path).read()
    frames = table["observation.images.high"].to_pylist()
    frames[6]["bytes"] = frames[6]["bytes"][:50]
    place = table.schema.get_field_index("observation.images.high")
    kind = table.schema.field("observation.images.high").type
    pq.write_table(table.set_column(place, "observation.images.high", pa.array(frames, kind)), path)
    assert main(["inspect", "dataset", str(folder)]) == 0
    assert main(["inspect", "dataset", str(folder), "--full"]) == 2
    assert "'observation.images.high', episode 1, timestep 3: 50 bytes are not a complete" in capsys.readouterr().err
    assert not any("images" in name for name in cached(root))


def test_a_large_cache_is_announced_with_its_size_before_it_is_filled(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("astra.storage.cached_arrays.ANNOUNCED_FROM", 1)
    LeRobotDataset.open(folder, frame_size=SIZE)
    said = capsys.readouterr().err
    assert "observation.images.wide/16x16" in said
    assert "once: 1 MB in" in said
