import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astra.datasets import DatasetWriter, Episode, LeRobotDataset
from astra.datasets.lerobot.layout import EPISODES
from astra.datasets.lerobot.stats import count_pixels, summarize_pixels
from astra.trajectory import ActionSpec

Make = Callable[..., Episode]
DATA = "data/chunk-000/file-000.parquet"


def write(folder: Path, episodes: Iterable[Episode], **options: Any) -> None:
    with DatasetWriter(folder, **{"fps": 5.0, **options}) as writer:
        for episode in episodes:
            writer.add(episode)


def test_rows_have_the_types_of_lerobot(dataset_folder: Path, episodes: list[Episode]) -> None:
    file = pq.ParquetFile(dataset_folder / DATA)
    assert file.schema_arrow.remove_metadata() == pa.schema(
        {
            "observation.state": pa.list_(pa.float32(), 3),
            "observation.gripper": pa.float32(),
            "action": pa.list_(pa.float32(), 2),
            "observation.image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "timestamp": pa.float32(),
            "frame_index": pa.int64(),
            "episode_index": pa.int64(),
            "index": pa.int64(),
            "task_index": pa.int64(),
        }
    )
    assert file.num_row_groups == len(episodes)
    rows = file.read().to_pydict()
    assert rows["index"] == list(range(24))
    assert rows["frame_index"] == [timestep for episode in episodes for timestep in range(len(episode))]
    assert rows["episode_index"] == [index for index, episode in enumerate(episodes) for _ in range(len(episode))]
    assert rows["task_index"] == [index % 2 for index in rows["episode_index"]]
    assert rows["timestamp"][:3] == pytest.approx([0.0, 0.2, 0.4])
    assert rows["action"][:7] == episodes[0].columns["action"].tolist()


def test_metadata_tell_what_lerobot_asks_for(dataset_folder: Path) -> None:
    info = json.loads((dataset_folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["fps"], info["total_episodes"], info["total_frames"], info["total_tasks"]) == (5, 4, 24, 2)
    assert info["splits"] == {"train": "0:4"}
    assert info["features"]["observation.image"] == {
        "dtype": "image",
        "shape": [6, 9, 3],
        "names": ["height", "width", "channels"],
    }
    assert info["features"]["observation.gripper"] == {"dtype": "float32", "shape": [1], "names": None}
    assert info["features"]["task_index"] == {"dtype": "int64", "shape": [1], "names": None}
    assert "astra" not in info


def test_instructions_are_the_index_of_their_table(dataset_folder: Path) -> None:
    table = pq.read_table(dataset_folder / "meta/tasks.parquet")
    assert table.to_pydict() == {"task_index": [0, 1], "__index_level_0__": ["go left", "go right"]}
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]


def test_episodes_tell_their_rows_and_statistics(dataset_folder: Path, episodes: list[Episode]) -> None:
    rows = pq.read_table(dataset_folder / "meta/episodes/chunk-000/file-000.parquet").to_pydict()
    assert rows["length"] == [7, 1, 4, 12]
    assert rows["dataset_from_index"] == [0, 7, 8, 12]
    assert rows["dataset_to_index"] == [7, 8, 12, 24]
    assert rows["tasks"] == [["go left"], ["go right"]] * 2
    actions = episodes[3].columns["action"].astype(np.float64)
    for statistic, expected in {
        "min": actions.min(axis=0),
        "max": actions.max(axis=0),
        "mean": actions.mean(axis=0),
        "std": actions.std(axis=0),
        "q01": np.quantile(actions, 0.01, axis=0),
        "q99": np.quantile(actions, 0.99, axis=0),
    }.items():
        np.testing.assert_allclose(rows[f"stats/action/{statistic}"][3], expected, rtol=1e-5)
    assert rows["stats/action/count"][3] == [12]
    assert np.shape(rows["stats/observation.image/mean"][0]) == (3, 1, 1)


def test_episodes_are_written_a_few_at_a_time(
    dataset_folder: Path, tmp_path: Path, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astra.datasets.lerobot.tables.ROWS_PER_BATCH", 3)
    write(tmp_path / "few", episodes)
    file = pq.ParquetFile(tmp_path / "few" / EPISODES)
    assert file.num_row_groups == 2
    assert file.read().equals(pq.read_table(dataset_folder / EPISODES))
    assert "prompt_index" not in file.schema_arrow.names


def test_statistics_of_pixels_are_those_of_numpy() -> None:
    frames = np.random.default_rng(0).integers(0, 200, size=(5, 7, 9, 3), dtype=np.uint8) // np.array(
        [1, 3, 60], np.uint8
    )
    summary = summarize_pixels(count_pixels(frames[:2]) + count_pixels(frames[2:]))
    pixels = frames.reshape(-1, 3) / 255
    expected = {"min": pixels.min(axis=0), "max": pixels.max(axis=0), "mean": pixels.mean(axis=0)}
    expected |= {"std": pixels.std(axis=0)}
    expected |= {f"q{share:02d}": np.quantile(pixels, share / 100, axis=0) for share in (1, 10, 50, 90, 99)}
    assert summary.pop("count") == [5 * 7 * 9]
    assert summary.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(summary[name], value.reshape(3, 1, 1), atol=1e-12)


def test_statistics_of_the_whole_are_those_of_numpy(dataset_folder: Path, episodes: list[Episode]) -> None:
    statistics = json.loads((dataset_folder / "meta/stats.json").read_text())
    states = np.concatenate([episode.columns["observation.state"] for episode in episodes]).astype(np.float64)
    np.testing.assert_allclose(statistics["observation.state"]["mean"], states.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics["observation.state"]["std"], states.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics["observation.state"]["q50"], np.median(states, axis=0), rtol=1e-5)
    frames = np.concatenate([episode.columns["observation.image"] for episode in episodes]) / 255
    np.testing.assert_allclose(np.ravel(statistics["observation.image"]["mean"]), frames.mean(axis=(0, 1, 2)))
    assert statistics["episode_index"]["max"] == [3]


def test_names_and_bounds_of_actions_come_back(tmp_path: Path, make_episode: Make) -> None:
    actions = ActionSpec(names=("x", "grip"), low=(-5.0, 0.0), high=(5.0, 1.0), binary=(False, True))
    write(tmp_path / "data", [make_episode(0)], actions=actions)
    assert LeRobotDataset.open(tmp_path / "data").spec.actions == actions
    info = json.loads((tmp_path / "data/meta/info.json").read_text())
    assert info["features"]["action"]["names"] == ["x", "grip"]


def test_large_datasets_are_split_over_files(
    tmp_path: Path, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astra.datasets.lerobot.tables.MEGABYTES_PER_FILE", 0)
    monkeypatch.setattr("astra.datasets.lerobot.tables.FILES_PER_CHUNK", 3)
    write(tmp_path / "data", episodes)
    files = sorted(str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data/data").rglob("*.parquet"))
    assert files == [
        "data/chunk-000/file-000.parquet",
        "data/chunk-000/file-001.parquet",
        "data/chunk-000/file-002.parquet",
        "data/chunk-001/file-000.parquet",
    ]
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert np.array_equal(dataset.episode(3).columns["action"], episodes[3].columns["action"])


def test_an_existing_folder_is_left_as_it_is(dataset_folder: Path) -> None:
    before = sorted(dataset_folder.rglob("*"))
    with pytest.raises(FileExistsError, match="choose another folder"):
        DatasetWriter(dataset_folder, fps=5.0)
    assert sorted(dataset_folder.rglob("*")) == before


def test_a_folder_that_appears_meanwhile_costs_no_episode(tmp_path: Path, make_episode: Make) -> None:
    def episodes_and_a_folder() -> Iterator[Episode]:
        yield make_episode(0)
        (tmp_path / "data").mkdir()

    with pytest.raises(FileExistsError, match="rename that folder"):
        write(tmp_path / "data", episodes_and_a_folder())
    [kept] = tmp_path.glob(".data.unfinished-*")
    assert len(LeRobotDataset.open(kept)) == 1


def test_an_error_leaves_nothing_behind(tmp_path: Path, make_episode: Make) -> None:
    def episodes_and_an_error() -> Iterator[Episode]:
        yield make_episode(0)
        raise KeyError("the simulator fell over")

    with pytest.raises(KeyError, match="fell over"):
        write(tmp_path / "deep" / "data", episodes_and_an_error())
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_dataset_without_episodes_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no episode"):
        write(tmp_path / "data", [])
    assert list(tmp_path.iterdir()) == []


def test_episodes_that_do_not_fit_are_refused_by_name(tmp_path: Path, make_episode: Make) -> None:
    first, other, broken = (make_episode(seed) for seed in range(3))
    wider = replace(other, columns={**other.columns, "action": np.zeros((5, 3), np.float32)})
    broken.columns["action"][2, 0] = np.nan
    for episodes, message in [
        ((first, wider), r"episode 1, column 'action': got the shape \[3\]"),
        ((first, other, broken), "episode 2, column 'action': NaN"),
        ((first, make_episode(1, camera=True)), "the difference is observation.image"),
        ((replace(first, fps=10.0),), "episode 0 has 10.0 timesteps per second, but the dataset 5.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            write(tmp_path / "data", episodes)
    assert list(tmp_path.iterdir()) == []


def test_bounds_fit_the_actions(tmp_path: Path, make_episode: Make) -> None:
    actions = ActionSpec(names=("a", "b", "c"), low=(-1.0,) * 3, high=(1.0,) * 3)
    with pytest.raises(ValueError, match=r"'action' has the shape .* but 3 names: a, b, c"):
        write(tmp_path / "data", [make_episode(0)], actions=actions)


def test_a_full_disk_at_the_end_leaves_nothing_behind(
    tmp_path: Path, make_episode: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("astra.datasets.lerobot.writer.pq.write_table", fail)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "data", [make_episode(0)])
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed(tmp_path: Path, make_episode: Make) -> None:
    (tmp_path / ".data.unfinished-4711" / "meta").mkdir(parents=True)
    write(tmp_path / "data", [make_episode(0)])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
