"""LeRobotDataset v2.0 and v2.1, read in place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from astra.datasets import LeRobotDataset
from tests.datasets.lerobot.recordings import CAMERA, LENGTHS, TASKS, rows_of, write_version_2


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
@pytest.mark.parametrize("dtype", ["video", "image"])
def test_episodes_come_back_with_frames_actions_and_instructions(tmp_path: Path, version: str, dtype: str) -> None:
    expected = write_version_2(tmp_path / "data", version=version, dtype=dtype)
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert dataset.lengths.tolist() == list(LENGTHS)
    assert dataset.instructions == (TASKS[0], TASKS[1], TASKS[0])
    assert dataset.spec.actions.names == ("dx", "dy")
    for index, (frames, rows) in enumerate(zip(expected, rows_of(LENGTHS), strict=True)):
        episode = dataset.episode(index)
        assert np.array_equal(episode.columns[CAMERA], frames)
        for column in ("observation.state", "action"):
            assert np.array_equal(episode.columns[column], np.stack(rows[column].to_pylist()).astype(np.float32))
    assert np.array_equal(dataset.columns[CAMERA], np.concatenate(expected))


def edit_lines(path: Path, number: int, **changes: Any) -> None:
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changes})
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("episodes", {"length": "5"}, r"episodes\.jsonl, line 2: length is 5, expected a whole number"),
        ("episodes", {"length": -1}, r"episodes\.jsonl, line 2: length is -1"),
        ("episodes", {"length": 4}, r"lengths add up to 20 rows, but meta/info\.json says 21"),
        ("episodes", {"episode_index": 7}, r"episodes\.jsonl and its siblings have 3"),
        ("episodes", {"tasks": [3]}, r"episode 1 has tasks that are no texts"),
        ("episodes", {"tasks": ["fly"]}, r"instruction of episode 1 is 'fly', which meta/tasks\.jsonl does not have"),
        ("tasks", {"task": TASKS[0]}, r"tasks\.jsonl has an instruction or an index twice"),
        ("tasks", {"task_index": None}, r"tasks\.jsonl, line 2: task_index is None"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, file: str, changes: dict[str, Any], message: str) -> None:
    write_version_2(tmp_path / "data", dtype="image")
    edit_lines(tmp_path / f"data/meta/{file}.jsonl", 1, **changes)
    with pytest.raises(ValueError, match=message):
        LeRobotDataset.open(tmp_path / "data")


@pytest.mark.parametrize("file", ["episodes", "tasks"])
def test_a_truncated_or_missing_file_of_lines_is_named(tmp_path: Path, file: str) -> None:
    write_version_2(tmp_path / "data", dtype="image")
    path = tmp_path / f"data/meta/{file}.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=rf"{file}\.jsonl, line \d: not valid JSON"):
        LeRobotDataset.open(tmp_path / "data")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{file}\.jsonl is missing"):
        LeRobotDataset.open(tmp_path / "data")


def test_a_missing_episode_or_video_is_named(tmp_path: Path) -> None:
    write_version_2(tmp_path / "data")
    (tmp_path / f"data/videos/chunk-001/{CAMERA}/episode_000002.mp4").unlink()
    with pytest.raises(FileNotFoundError, match=rf"column '{CAMERA}', episode 2: .*episode_000002\.mp4 is missing"):
        LeRobotDataset.open(tmp_path / "data")
    (tmp_path / "data/data/chunk-000/episode_000001.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"episode_000001\.parquet is missing"):
        LeRobotDataset.open(tmp_path / "data")


def test_rows_of_another_episode_are_refused(tmp_path: Path) -> None:
    write_version_2(tmp_path / "data", dtype="image", lengths=(5, 5))
    first, second = (tmp_path / f"data/data/chunk-000/episode_{index:06d}.parquet" for index in range(2))
    pq.write_table(pq.ParquetFile(first).read(), second)
    with pytest.raises(ValueError, match=r"episode_000001\.parquet lacks rows of its episodes"):
        LeRobotDataset.open(tmp_path / "data")


def test_rows_of_another_instruction_are_refused_without_naming_files_of_version_3(tmp_path: Path) -> None:
    write_version_2(tmp_path / "data")
    path = tmp_path / "data/data/chunk-000/episode_000001.parquet"
    pq.write_table(rows_of(LENGTHS)[1].set_column(6, "task_index", [[0] * LENGTHS[1]]), path)
    with pytest.raises(ValueError, match=r"episode_000001\.parquet: the rows of episode 1 .* in meta/ do") as raised:
        LeRobotDataset.open(tmp_path / "data")
    assert "meta/tasks.parquet" not in str(raised.value)
