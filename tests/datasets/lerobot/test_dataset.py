import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from astra.datasets import DatasetWriter, Episode, LeRobotDataset
from astra.datasets.lerobot.layout import decode_image

Make = Callable[..., Episode]


def test_written_episodes_come_back_bit_for_bit(dataset: LeRobotDataset, episodes: list[Episode]) -> None:
    assert len(dataset) == len(episodes)
    assert dataset.lengths.tolist() == [len(episode) for episode in episodes]
    for index, written in enumerate(episodes):
        read = dataset.episode(index)
        assert (read.instruction, read.fps) == (written.instruction, written.fps)
        assert read.columns.keys() == written.columns.keys()
        for column, values in written.columns.items():
            assert read.columns[column].dtype == values.dtype
            assert np.array_equal(read.columns[column], values)


def test_the_spec_tells_what_was_written(dataset: LeRobotDataset, episodes: list[Episode]) -> None:
    assert dataset.spec.states == {"observation.state": 3, "observation.gripper": 1}
    assert dataset.spec.images == {"observation.image": (6, 9)}
    assert dataset.spec.instructions == ("go left", "go right")
    assert dataset.spec.fps == 5.0
    assert dataset.spec.actions.names == ("action_0", "action_1")
    actions = np.concatenate([episode.columns["action"] for episode in episodes])
    low, high = np.array(dataset.spec.actions.low), np.array(dataset.spec.actions.high)
    np.testing.assert_allclose(actions.min(axis=0) - low, 0.01 * np.ptp(actions, axis=0), rtol=1e-3)
    np.testing.assert_allclose(high - actions.max(axis=0), 0.01 * np.ptp(actions, axis=0), rtol=1e-3)


def test_an_action_that_never_changes_still_has_bounds(tmp_path: Path, make_episode: Make) -> None:
    episode = make_episode(0)
    episode.columns["action"][:, 1] = 300
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        writer.add(episode)
    actions = LeRobotDataset.open(tmp_path / "data").spec.actions
    assert actions.low[1] < 300 < actions.high[1]


def test_only_the_columns_asked_for_are_opened(dataset_folder: Path) -> None:
    dataset = LeRobotDataset.open(dataset_folder, columns={"observation.gripper"})
    assert dataset.columns.keys() == {"observation.gripper", "action"}
    assert dataset.spec.states == {"observation.gripper": 1}
    assert dataset.spec.images == {}
    assert dataset.cache is not None
    assert sorted(path.stem for path in dataset.cache.folder.glob("*.npy")) == ["action", "observation.gripper"]


def test_columns_cannot_be_changed_by_accident(dataset: LeRobotDataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        dataset.columns["action"][0] = 0


def test_the_split_is_disjoint_complete_and_repeatable(tmp_path: Path, make_episode: Make) -> None:
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        for index in range(20):
            writer.add(make_episode(index))
    dataset = LeRobotDataset.open(tmp_path / "data")
    train, validation = dataset.split_episodes(0.1, seed=3)
    assert len(validation) == 2
    assert sorted(train + validation) == list(range(20))
    assert dataset.split_episodes(0.1, seed=3) == (train, validation)
    assert dataset.split_episodes(0.1, seed=4) != (train, validation)
    assert dataset.split_episodes(0.0, seed=3) == (tuple(range(20)), ())
    assert len(dataset.split_episodes(0.001, seed=3)[1]) == 1


def test_a_split_leaves_something_to_train_on(dataset: LeRobotDataset) -> None:
    with pytest.raises(ValueError, match="expected 0 <= fraction < 1"):
        dataset.split_episodes(1.0, seed=0)
    with pytest.raises(ValueError, match="leaves none"):
        dataset.split_episodes(0.99, seed=0)


def test_a_dataset_that_lerobot_opens_is_read(tmp_path: Path, shared_data: Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(shared_data / "lerobot_v3_pusht2task_sample", folder)
    dataset = LeRobotDataset.open(folder)
    assert dataset.lengths.tolist() == [161, 118, 141, 137, 145, 231]
    assert dataset.instructions == ("push the T to the center",) * 3 + ("push the T to the lower right",) * 3
    assert dataset.spec.states == {"observation.state": 2, "observation.environment_state": 3}
    assert dataset.spec.images == {"observation.image": (96, 96)}
    rows = pq.read_table(folder / "data/chunk-000/file-000.parquet")
    for column in ("observation.state", "observation.environment_state", "action"):
        assert np.array_equal(dataset.columns[column], np.array(rows[column].to_pylist(), np.float32))
    for row in (0, 500, 932):
        png = rows["observation.image"][row].as_py()["bytes"]
        assert np.array_equal(dataset.columns["observation.image"][row], decode_image(png))
