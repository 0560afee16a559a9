from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from astra.datasets import DatasetWriter, Episode, LeRobotDataset, describe


def test_a_description_tells_size_instructions_and_ranges(dataset: LeRobotDataset) -> None:
    rows = dict(describe(dataset))
    assert rows["episodes"] == "4"
    assert rows["timesteps"].startswith("24 at 5 per second")
    assert rows["episode length"] == "1 to 12 timesteps, mean 6.0"
    assert rows["instruction 'go right'"] == "2 episodes"
    assert rows["observation.image"] == "6 x 9 RGB frames, stored as images"
    low, high = dataset.columns["action"][:, 1].min(), dataset.columns["action"][:, 1].max()
    assert rows["action[action_1]"].startswith(f"{low:.4g} to {high:.4g}")


def test_a_dataset_shows_its_size_and_columns_and_not_its_values(dataset: LeRobotDataset) -> None:
    shown = repr(dataset)
    assert shown.startswith(f"LeRobotDataset({dataset.folder}, 4 episodes, 24 timesteps of ")
    assert {"observation.image", "action"} <= set(shown.rstrip(")").partition(" of ")[2].split(", "))


def test_a_column_that_never_changes_has_no_deviation(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    episode = make_episode(0)
    episode.columns["observation.gripper"][:] = 0.3
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        writer.add(episode)
    rows = dict(describe(LeRobotDataset.open(tmp_path / "data")))
    assert rows["format"] == "LeRobotDataset v3.0"
    assert [value for name, value in rows.items() if name.startswith("instruction")] == ["1 episode"]
    assert rows["observation.gripper[0]"] == "0.3 to 0.3, mean 0.3, std 0"


def test_of_many_instructions_the_most_frequent_are_shown(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        for number in range(33):
            writer.add(replace(make_episode(number), instruction=f"task {number % 32:02d}"))
    rows = dict(describe(LeRobotDataset.open(tmp_path / "data")))
    shown = {name: value for name, value in rows.items() if "instruction" in name}
    assert shown["instruction 'task 00'"] == "2 episodes"
    assert len(shown) == 21
    assert shown["12 more instructions"] == "12 episodes"
