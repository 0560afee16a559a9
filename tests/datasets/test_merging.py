"""Several datasets merged into one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astra.datasets import DatasetWriter, Episode, LeRobotDataset
from astra.datasets.merging import merge
from astra.datasets.sentences import read_sentences
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
    with pytest.raises(
        ValueError,
        match=r"b cannot be merged with .*a, because it has the action dimension y from -2 to 3, not from -2 to 2",
    ):
        list(merge(sources, tmp_path / "all"))
    with pytest.raises(ValueError, match="it has 10 timesteps per second, not 5"):
        list(merge([sources[0], written(tmp_path / "c", 3, fps=10.0)], tmp_path / "all"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def recorded(folder: Path, largest: float, **entries: object) -> Path:
    """Write a recording without declared bounds, with names and entries of info.json as LeRobot has them."""
    with DatasetWriter(folder, fps=5.0) as writer:
        columns = {
            name: np.linspace([0, 0], [largest, 1], 4, dtype=np.float32) for name in ("observation.state", "action")
        }
        writer.add(Episode(instruction="push", columns=columns, fps=5.0))
    path = folder / "meta/info.json"
    info = {**json.loads(path.read_text()), "robot_type": "arm", "recorded_by": "Ada", **entries}
    for column in ("observation.state", "action"):
        info["features"][column]["names"] = {"motors": ["x", "y"]}
    path.write_text(json.dumps(info))
    return folder


def test_two_recordings_of_one_robot_are_merged(tmp_path: Path) -> None:
    sources = [recorded(tmp_path / "monday", 1.0), recorded(tmp_path / "tuesday", 3.0)]
    with pytest.warns(UserWarning, match="no dataset declares the bounds of its actions"):
        list(merge(sources, tmp_path / "both"))
    actions = LeRobotDataset.open(tmp_path / "both").spec.actions
    assert actions == LeRobotDataset.open(sources[1]).spec.actions
    info = json.loads((tmp_path / "both/meta/info.json").read_text())
    assert (info["robot_type"], info["recorded_by"], info["total_episodes"]) == ("arm", "Ada", 2)
    assert info["features"]["observation.state"]["names"] == {"motors": ["x", "y"]}
    assert "astra" not in info
    assert actions.names == ("x", "y")


def test_what_contradicts_another_recording_is_named(tmp_path: Path) -> None:
    first = recorded(tmp_path / "a", 1.0)
    with pytest.raises(ValueError, match="it has the robot_type hand, not arm"):
        list(merge([first, recorded(tmp_path / "b", 1.0, robot_type="hand")], tmp_path / "all"))
    declared = written(tmp_path / "c", 3)
    wide = recorded(tmp_path / "d", 7.0)
    with pytest.raises(ValueError, match=r"d declares no bounds of its actions, and its 'x' goes from 0 to 7, outside"):
        list(merge([declared, wide], tmp_path / "all"))
    with pytest.warns(UserWarning, match="differ in 'recorded_by'"):
        list(merge([first, recorded(tmp_path / "e", 1.0, recorded_by="Bob")], tmp_path / "all"))


def test_columns_that_one_source_lacks_are_named_in_either_order(tmp_path: Path) -> None:
    plain, more = written(tmp_path / "plain", 3), tmp_path / "more"
    with DatasetWriter(more, fps=5.0, actions=ACTIONS) as writer:
        columns = {"observation.state": 3, "observation.force": 2, "action": 2}
        numbers = {name: np.zeros((4, size), np.float32) for name, size in columns.items()}
        writer.add(Episode(instruction="push", columns=numbers, fps=5.0))
    with pytest.raises(ValueError, match=r"observation.force, which is not expected; observation.state with 3"):
        list(merge([plain, more], tmp_path / "all"))
    with pytest.raises(ValueError, match=r"no observation.force; observation.state with 2 dimensions, not 3"):
        list(merge([more, plain], tmp_path / "all"))


def test_dimensions_without_names_are_those_of_the_other_source(tmp_path: Path) -> None:
    sources = [recorded(tmp_path / "named", 1.0), recorded(tmp_path / "unnamed", 1.0)]
    path = sources[1] / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"]["action"]["names"] = None
    path.write_text(json.dumps(info))
    for order in (sources, sources[::-1]):
        destination = tmp_path / f"from {order[0].name}"
        assert len(list(merge(order, destination))) == 2
        assert LeRobotDataset.open(destination).spec.actions.names == ("x", "y")


def test_bins_that_benchmarks_advise_are_those_of_the_first_source(tmp_path: Path) -> None:
    first, second = replace(ACTIONS, bins=(50, 73)), replace(ACTIONS, bins=(50, 72))
    sources = [written(tmp_path / "a", 3, actions=first), written(tmp_path / "b", 3, actions=second)]
    assert len(list(merge(sources, tmp_path / "all"))) == 2
    assert LeRobotDataset.open(tmp_path / "all").spec.actions == first


def test_episodes_that_are_left_out_take_their_sentences_and_their_range_along(tmp_path: Path) -> None:
    source = recorded(tmp_path / "a", 1.0)
    with DatasetWriter(tmp_path / "wild", fps=5.0) as writer:
        for instruction, largest in (("push", 1.0), ("jump", 90.0)):
            columns = {
                name: np.linspace([0, 0], [largest, 1], 4, dtype=np.float32) for name in ("observation.state", "action")
            }
            writer.add(Episode(instruction=instruction, columns=columns, fps=5.0))
        writer.tell({"push": ["push it"], "jump": ["jump up"]})
    assert len(list(merge([tmp_path / "wild"], tmp_path / "tame", leave_out=[1, 1]))) == 1
    tame = LeRobotDataset.open(tmp_path / "tame")
    assert tame.instructions == ("push",)
    assert tame.spec.actions.high == LeRobotDataset.open(source).spec.actions.high
    assert read_sentences(tame.folder, tame.spec.instructions) == {"push": ("push it",)}


@pytest.mark.parametrize(
    ("sources", "leave_out", "message"),
    [
        ("a", [2], "a has no episode 2 to leave out, it has 2, numbered from 0"),
        ("a", [0, 1], "all 2 episodes of .*a would be left out"),
        ("ab", [0], "got episodes to leave out of 2 datasets, expected one dataset"),
    ],
)
def test_episodes_that_cannot_be_left_out_are_refused(
    sources: str, leave_out: list[int], message: str, tmp_path: Path
) -> None:
    folders = [written(tmp_path / name, 3, 2) for name in sources]
    with pytest.raises(ValueError, match=message):
        list(merge(folders, tmp_path / "all", leave_out=leave_out))
    assert not (tmp_path / "all").exists()


def test_a_source_without_sentences_keeps_the_wording_of_its_instructions(tmp_path: Path) -> None:
    told = {"one": {"push": ["push it", "shove it"]}, "two": None}
    for name, sentences in told.items():
        with DatasetWriter(tmp_path / name, fps=5.0, actions=ACTIONS) as writer:
            for instruction in ("push", f"only in {name}"):
                columns = {column: np.zeros((3, 2), np.float32) for column in ("observation.state", "action")}
                writer.add(Episode(instruction=instruction, columns=columns, fps=5.0))
            if sentences:
                writer.tell(sentences)
    for order in (["one", "two"], ["two", "one"]):
        both = tmp_path / "-".join(order)
        assert len(list(merge([tmp_path / name for name in order], both))) == 4
        found = read_sentences(both, LeRobotDataset.open(both).spec.instructions)
        assert {instruction: set(told) for instruction, told in found.items()} == {
            "push": {"push it", "shove it", "push"}
        }
