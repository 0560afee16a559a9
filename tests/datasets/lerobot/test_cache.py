"""The cache of a dataset: outside of it, made once, and new whenever a file that is read changes."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astra.datasets import Episode, LeRobotDataset
from astra.datasets.lerobot import cache as module
from astra.datasets.lerobot.fingerprint import fingerprint

DATA = "data/chunk-000/file-000.parquet"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASTRA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def caches(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def test_the_cache_is_made_once_and_the_dataset_stays_as_it_was(dataset_folder: Path, root: Path) -> None:
    before = sorted(dataset_folder.rglob("*"))
    LeRobotDataset.open(dataset_folder)
    first = caches(root)
    assert len(first) == 4
    LeRobotDataset.open(dataset_folder)
    assert caches(root) == first
    assert sorted(dataset_folder.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:.*stats.json has other bounds")
def test_a_changed_dataset_gets_a_new_cache_and_loses_the_old(dataset_folder: Path, root: Path) -> None:
    LeRobotDataset.open(dataset_folder)
    first = caches(root)
    path = dataset_folder / DATA
    table = pq.ParquetFile(path).read()
    doubled = (2 * np.array(table["action"].to_pylist(), np.float32)).tolist()
    position = table.schema.names.index("action")
    pq.write_table(table.set_column(position, "action", pa.array(doubled, pa.list_(pa.float32(), 2))), path)
    dataset = LeRobotDataset.open(dataset_folder)
    assert np.array_equal(dataset.columns["action"], doubled)
    assert not caches(root).keys() & first.keys()


def edit_in_place(path: Path) -> None:
    """Change a byte; size and time of modification stay."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replace_with_a_copy(path: Path) -> None:
    """Put another file in its place; contents and time of modification stay."""
    shutil.copy2(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("file", [DATA, "meta/stats.json", "meta/tasks.parquet"])
@pytest.mark.parametrize("change", [edit_in_place, replace_with_a_copy, touch])
def test_any_change_of_any_file_gives_a_new_key(
    dataset_folder: Path, change: Callable[[Path], None], file: str
) -> None:
    before = fingerprint(dataset_folder, [], 1)
    time.sleep(0.01)  # the clock of a file system ticks every few milliseconds
    change(dataset_folder / file)
    assert fingerprint(dataset_folder, [], 1) != before


@pytest.mark.parametrize("linked", [DATA, "data/chunk-000", "data"])
def test_a_change_behind_a_link_gives_a_new_key(dataset_folder: Path, tmp_path: Path, linked: str) -> None:
    target = tmp_path / "elsewhere"
    (dataset_folder / linked).rename(target)
    (dataset_folder / linked).symlink_to(target)
    before = fingerprint(dataset_folder, [], 1)
    time.sleep(0.01)
    edit_in_place((dataset_folder / DATA).resolve())
    assert fingerprint(dataset_folder, [], 1) != before


def test_a_change_of_a_data_file_in_another_folder_gives_a_new_key(dataset_folder: Path, tmp_path: Path) -> None:
    (dataset_folder / DATA).rename(tmp_path / "rows.parquet")
    before = fingerprint(dataset_folder, [tmp_path / "rows.parquet"], 1)
    touch(tmp_path / "rows.parquet")
    assert fingerprint(dataset_folder, [tmp_path / "rows.parquet"], 1) != before


def test_a_link_to_a_folder_above_ends(dataset_folder: Path) -> None:
    (dataset_folder / "data/again").symlink_to(dataset_folder)
    assert fingerprint(dataset_folder, [], 1)


def test_a_moved_dataset_keeps_its_cache(dataset_folder: Path, tmp_path: Path, root: Path) -> None:
    LeRobotDataset.open(dataset_folder)
    first = caches(root)
    dataset_folder.rename(tmp_path / "moved")
    LeRobotDataset.open(tmp_path / "moved")
    assert caches(root) == first


def test_a_dataset_that_changes_while_it_is_read_is_refused(
    dataset_folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = module.fill_columns

    def fill_and_change(*arguments: object) -> None:
        fill(*arguments)  # pyright: ignore[reportArgumentType]
        touch(dataset_folder / DATA)

    monkeypatch.setattr(module, "fill_columns", fill_and_change)
    with pytest.raises(ValueError, match="changed while it was read"):
        LeRobotDataset.open(dataset_folder)
    assert caches(root) == {}


def test_columns_wanted_later_join_the_same_cache(dataset_folder: Path, root: Path) -> None:
    LeRobotDataset.open(dataset_folder, columns={"observation.state"})
    first = caches(root)
    LeRobotDataset.open(dataset_folder)
    assert first.items() < caches(root).items()


def test_a_failure_leaves_no_cache_of_the_column(dataset_folder: Path, root: Path) -> None:
    path = dataset_folder / DATA
    pq.write_table(pq.ParquetFile(path).read().slice(0, 20), path)
    with pytest.raises(ValueError, match="20 of 24"):
        LeRobotDataset.open(dataset_folder)
    assert caches(root) == {}


def test_a_read_only_dataset_is_opened_like_any_other(dataset_folder: Path, episodes: list[Episode]) -> None:
    for path in (dataset_folder, *dataset_folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    dataset = LeRobotDataset.open(dataset_folder)
    assert np.array_equal(dataset.episode(0).columns["action"], episodes[0].columns["action"])


def test_the_link_named_cache_in_a_dataset_is_not_touched(dataset_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine/astra-work").mkdir(parents=True)
    (dataset_folder / "cache").symlink_to(tmp_path / "mine")
    LeRobotDataset.open(dataset_folder)
    assert (tmp_path / "mine/astra-work").is_dir()


def test_the_checksums_of_all_files_are_kept_beside_the_arrays(dataset_folder: Path) -> None:
    dataset = LeRobotDataset.open(dataset_folder)
    assert dataset.cache is not None
    kept = json.loads((dataset.cache.folder / module.SOURCES).read_text())
    files = {str(path.relative_to(dataset_folder)) for path in dataset_folder.rglob("*") if path.is_file()}
    assert kept.keys() == files
