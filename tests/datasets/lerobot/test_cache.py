import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astra.datasets import Episode, LeRobotDataset


def caches(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def test_the_cache_is_made_once(dataset_folder: Path) -> None:
    LeRobotDataset.open(dataset_folder)
    first = caches(dataset_folder / "cache")
    assert len(first) == 4
    LeRobotDataset.open(dataset_folder)
    assert caches(dataset_folder / "cache") == first
    assert not list(dataset_folder.rglob("unfinished*"))


@pytest.mark.filterwarnings("ignore:.*stats.json has other bounds")
def test_a_changed_dataset_gets_a_new_cache_and_loses_the_old(dataset_folder: Path) -> None:
    LeRobotDataset.open(dataset_folder)
    first = caches(dataset_folder / "cache")
    path = dataset_folder / "data/chunk-000/file-000.parquet"
    table = pq.ParquetFile(path).read()
    doubled = (2 * np.array(table["action"].to_pylist(), np.float32)).tolist()
    position = table.schema.names.index("action")
    pq.write_table(table.set_column(position, "action", pa.array(doubled, pa.list_(pa.float32(), 2))), path)
    dataset = LeRobotDataset.open(dataset_folder)
    assert np.array_equal(dataset.columns["action"], doubled)
    assert not caches(dataset_folder / "cache").keys() & first.keys()


def test_a_new_time_of_a_source_file_is_a_change(dataset_folder: Path) -> None:
    LeRobotDataset.open(dataset_folder)
    first = caches(dataset_folder / "cache")
    os.utime(dataset_folder / "meta/stats.json", ns=(1, 1))
    LeRobotDataset.open(dataset_folder)
    assert not caches(dataset_folder / "cache").keys() & first.keys()


def test_columns_wanted_later_join_the_same_cache(dataset_folder: Path) -> None:
    LeRobotDataset.open(dataset_folder, columns={"observation.state"})
    first = caches(dataset_folder / "cache")
    LeRobotDataset.open(dataset_folder)
    assert first.items() < caches(dataset_folder / "cache").items()


def test_a_failure_leaves_no_cache_of_the_column(dataset_folder: Path) -> None:
    path = dataset_folder / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.ParquetFile(path).read().slice(0, 20), path)
    with pytest.raises(ValueError, match="20 of 24"):
        LeRobotDataset.open(dataset_folder)
    assert caches(dataset_folder) == {}


def test_where_the_dataset_cannot_be_written_the_cache_lies_elsewhere(
    dataset_folder: Path, episodes: list[Episode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dataset_folder / "cache").write_text("a file in the place of the folder")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    dataset = LeRobotDataset.open(dataset_folder)
    assert np.array_equal(dataset.episode(0).columns["action"], episodes[0].columns["action"])
    assert len(caches(tmp_path / "temporary")) == 4


def test_foreign_files_in_the_cache_folder_stay(dataset_folder: Path) -> None:
    (dataset_folder / "cache").mkdir()
    (dataset_folder / "cache" / "notes.txt").write_text("mine")
    LeRobotDataset.open(dataset_folder)
    assert (dataset_folder / "cache" / "notes.txt").read_text() == "mine"
