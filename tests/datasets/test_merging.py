"""Several datasets merged into one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astra.datasets import DatasetWriter, Episode, LeRobotDataset
from astra.datasets.merging import merge
from astra.trajectory import ActionSpec

ACTIONS = ActionSpec(names=("x", "y"), low=(-1.0, -2.0), high=(1.0, 2.0))


def written(folder: Path, *lengths: int, fps: float = 5.0, actions: ActionSpec = ACTIONS) -> Path:
    with DatasetWriter(folder, fps=fps, actions=actions) as writer:
        for number, length in enumerate(lengths):
            numbers = np.arange(2 * length, dtype=np.float32).reshape(length, 2) / 100
            columns = {"observation.state": numbers + number, "action": numbers}
            writer.add(Episode(instruction=f"{folder.name} {number}", columns=columns, fps=fps))
    return folder


def test_all_episodes_come_one_source_after_the_other(tmp_path: Path) -> None:
    sources = [written(tmp_path / "a", 3, 1), written(tmp_path / "b", 4)]
    assert len(list(merge(sources, tmp_path / "all"))) == 3
    merged = LeRobotDataset.open(tmp_path / "all")
    parts = [LeRobotDataset.open(source) for source in sources]
    episodes = [part.episode(index) for part in parts for index in range(len(part))]
    assert merged.spec.actions == ACTIONS
    assert merged.lengths.tolist() == [3, 1, 4]
    for index, episode in enumerate(episodes):
        same = merged.episode(index)
        assert same.instruction == episode.instruction
        for column, values in episode.columns.items():
            assert np.array_equal(same.columns[column], values)


def test_sources_that_differ_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    other = ActionSpec(names=("x", "y"), low=(-1.0, -2.0), high=(1.0, 3.0))
    sources = [written(tmp_path / "a", 3), written(tmp_path / "b", 3, actions=other)]
    with pytest.raises(ValueError, match=r"b and .*a differ in actions"):
        list(merge(sources, tmp_path / "all"))
    with pytest.raises(ValueError, match="differ in fps"):
        list(merge([sources[0], written(tmp_path / "c", 3, fps=10.0)], tmp_path / "all"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_bins_that_benchmarks_advise_are_those_of_the_first_source(tmp_path: Path) -> None:
    first, second = replace(ACTIONS, bins=(50, 73)), replace(ACTIONS, bins=(50, 72))
    sources = [written(tmp_path / "a", 3, actions=first), written(tmp_path / "b", 3, actions=second)]
    assert len(list(merge(sources, tmp_path / "all"))) == 2
    assert LeRobotDataset.open(tmp_path / "all").spec.actions == first
