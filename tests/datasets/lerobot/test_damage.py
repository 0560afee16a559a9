"""Damaged datasets: one clear message, and nothing changed on disk."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astra.datasets import LeRobotDataset

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
FILES = ["meta/info.json", "meta/stats.json", "meta/tasks.parquet", EPISODES, DATA]


def edit_info(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def edit_rows(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.ParquetFile(folder / DATA).read()), folder / DATA)


def with_column(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, values)


@pytest.mark.parametrize("file", [file for file in FILES if file != "meta/stats.json"])
def test_a_missing_file_is_named(dataset_folder: Path, file: str) -> None:
    (dataset_folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=file):
        LeRobotDataset.open(dataset_folder)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_named(dataset_folder: Path, file: str, share: float) -> None:
    LeRobotDataset.open(dataset_folder)
    path = dataset_folder / file
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"{file} is not .*copy the dataset again"):
        LeRobotDataset.open(dataset_folder)


def test_a_folder_that_is_no_dataset_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a LeRobotDataset"):
        LeRobotDataset.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_lies_where_a_dataset_is_expected_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist: create it with astra collect"):
        LeRobotDataset.open(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=rf"^data/away does not exist in {re.escape(str(Path.cwd()))}: create"):
        LeRobotDataset.open(Path("data/away"))
    policy = tmp_path / "run/checkpoints/last/policy"
    policy.mkdir(parents=True)
    (policy / "model.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"run is not a LeRobotDataset.*: it is a policy"):
        LeRobotDataset.open(tmp_path / "run")


@pytest.mark.parametrize("version", ["v1.6", "3.0", None, ["v3.0"]])
def test_versions_that_cannot_be_read_are_refused(dataset_folder: Path, version: Any) -> None:
    edit_info(dataset_folder, lambda info: info.update(codebase_version=version))
    with pytest.raises(ValueError, match=r"of the version .*, expected v2\.0, v2\.1 or v3\.0"):
        LeRobotDataset.open(dataset_folder)


def test_a_newer_version_is_read_with_a_warning(dataset_folder: Path) -> None:
    edit_info(dataset_folder, lambda info: info.update(codebase_version="v3.1"))
    with pytest.warns(UserWarning, match=r"is a LeRobotDataset v3\.1, newer than v3\.0: it is read as if"):
        assert len(LeRobotDataset.open(dataset_folder)) == 4


def test_an_unknown_column_is_reported_with_the_known_ones(dataset_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no column observation\.depth; it has observation\.state"):
        LeRobotDataset.open(dataset_folder, columns={"observation.depth"})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
def test_a_value_that_is_not_finite_is_named(dataset_folder: Path, bad: float | None) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        values = table["observation.gripper"].to_pylist()
        values[7 + 1 + 2] = bad
        return with_column(table, "observation.gripper", pa.array(values, pa.float32()))

    edit_rows(dataset_folder, spoil)
    with pytest.raises(ValueError, match=r"column 'observation\.gripper', episode 2, timestep 2: NaN or infinite"):
        LeRobotDataset.open(dataset_folder)


def test_a_damaged_frame_is_named(dataset_folder: Path) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        values = table["observation.image"].to_pylist()
        values[13]["bytes"] = values[13]["bytes"][:40]
        return with_column(table, "observation.image", pa.array(values, table.schema.field("observation.image").type))

    edit_rows(dataset_folder, spoil)
    with pytest.raises(
        ValueError, match=r"column 'observation\.image', episode 3, timestep 1: .* not a complete image"
    ):
        LeRobotDataset.open(dataset_folder)


def test_missing_rows_are_reported(dataset_folder: Path) -> None:
    edit_rows(dataset_folder, lambda table: table.slice(0, 20))
    with pytest.raises(ValueError, match="ends after 20 of 24 rows"):
        LeRobotDataset.open(dataset_folder)


def test_rows_in_the_wrong_place_are_reported(dataset_folder: Path) -> None:
    edit_rows(dataset_folder, lambda table: table.slice(1))
    with pytest.raises(ValueError, match="lacks rows of its episodes"):
        LeRobotDataset.open(dataset_folder)


def test_a_missing_column_is_reported(dataset_folder: Path) -> None:
    edit_rows(dataset_folder, lambda table: table.drop_columns(["action"]))
    with pytest.raises(ValueError, match="has no column action; its columns are"):
        LeRobotDataset.open(dataset_folder)


def test_a_column_of_another_width_is_reported(dataset_folder: Path) -> None:
    wider = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(24 * 3, np.float32)), 3)
    edit_rows(dataset_folder, lambda table: with_column(table, "action", wider))
    with pytest.raises(ValueError, match="column 'action': got 3 values per row, but"):
        LeRobotDataset.open(dataset_folder)


@pytest.mark.parametrize(
    ("count", "message"),
    [("total_episodes", "have 4"), ("total_frames", "add up to 24"), ("total_tasks", "has 2 instructions")],
)
def test_counts_that_contradict_each_other_are_reported(dataset_folder: Path, count: str, message: str) -> None:
    edit_info(dataset_folder, lambda info: info.update({count: info[count] + 1}))
    with pytest.raises(ValueError, match=message):
        LeRobotDataset.open(dataset_folder)


@pytest.mark.parametrize("kind", ["parquet", "mp4", "safetensors"])
def test_a_pointer_of_git_lfs_is_told_from_a_damaged_file(kind: str, tmp_path: Path) -> None:
    from astra.storage.tensor_files import load_tensors
    from tests.datasets.lerobot.recordings import write_version_2

    def read() -> None:
        if kind == "safetensors":
            load_tensors(tmp_path / "model.safetensors")
        else:
            LeRobotDataset.open(tmp_path)

    write_version_2(tmp_path)
    (tmp_path / "model.safetensors").touch()
    for path in tmp_path.rglob(f"*.{kind}"):
        path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    with pytest.raises(ValueError, match=rf"\.{kind} is only a pointer of Git LFS to the file: run git lfs pull"):
        read()
