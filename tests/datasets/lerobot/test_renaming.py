"""Datasets whose columns have other names, as converters of other projects write them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astra.datasets import LeRobotDataset
from astra.datasets.lerobot.renaming import parse_names, write_renamed
from tests.datasets.lerobot.recordings import CAMERA, write_version_2, write_version_3

FOREIGN = {"observation.state": "state", "action": "actions", CAMERA: "image"}
BACK = [f"{new}={old}" for old, new in FOREIGN.items()]


@pytest.mark.parametrize("write", [write_version_2, write_version_3])
def test_renamed_columns_hold_what_they_held(tmp_path: Path, write: Callable[[Path], list[np.ndarray]]) -> None:
    write(tmp_path / "plain")
    write_renamed(tmp_path / "plain", FOREIGN, tmp_path / "foreign")
    with pytest.raises(ValueError, match=r"no column action; .*actions.* are not read: see --rename"):
        LeRobotDataset.open(tmp_path / "foreign")
    write_renamed(tmp_path / "foreign", parse_names(BACK), tmp_path / "back")
    ours, theirs = LeRobotDataset.open(tmp_path / "plain"), LeRobotDataset.open(tmp_path / "back")
    assert ours.spec == theirs.spec
    for column in ours.columns:
        assert np.array_equal(ours.columns[column], theirs.columns[column]), column


def test_the_command_renames_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from astra.cli.main import main

    monkeypatch.chdir(tmp_path)
    expected = write_version_2(tmp_path / "plain")
    write_renamed(tmp_path / "plain", FOREIGN, tmp_path / "foreign")
    assert not main(["convert", "lerobot", "foreign", "--output", "made", "--rename", *BACK])
    made = LeRobotDataset.open(tmp_path / "made")
    assert np.array_equal(made.columns[CAMERA], np.concatenate(expected))
    assert made.spec.actions.names == ("dx", "dy")
    assert {path.name for path in tmp_path.iterdir()} == {"plain", "foreign", "made"}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("actions", "got --rename actions, expected OLD=NEW"),
        ("actions=acts", "got --rename actions=acts, expected OLD=NEW"),
        ("image=observation.", "expected OLD=NEW"),
        ("image=observation.images/top", "expected OLD=NEW"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(pair: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_names([pair])


def test_columns_that_do_not_exist_or_would_meet_are_refused(tmp_path: Path) -> None:
    write_version_2(tmp_path / "plain")
    with pytest.raises(ValueError, match=r"no column joints to rename, it has observation\.state, action, .*top"):
        write_renamed(tmp_path / "plain", {"joints": "observation.joints"}, tmp_path / "made")
    with pytest.raises(ValueError, match="two columns action"):
        write_renamed(tmp_path / "plain", {"observation.state": "action"}, tmp_path / "made")
    with pytest.raises(ValueError, match="names actions twice"):
        parse_names(["actions=action", "actions=observation.state"])


def test_linked_folders_and_checksums_of_videos_come_along(tmp_path: Path) -> None:
    from astra.datasets.lerobot.video.checksums import read_video_checksums, write_video_checksums

    write_version_3(tmp_path / "plain")
    write_video_checksums(tmp_path / "plain", sorted((tmp_path / "plain/videos").rglob("*.mp4")))
    (tmp_path / "plain/videos").rename(tmp_path / "elsewhere")
    (tmp_path / "plain/videos").symlink_to(tmp_path / "elsewhere")
    write_renamed(tmp_path / "plain", {CAMERA: "observation.images.front"}, tmp_path / "made")
    recorded = read_video_checksums(tmp_path / "made")
    assert len(recorded) == 2
    assert all((tmp_path / "made" / name).is_file() for name in recorded)
    frames = LeRobotDataset.open(tmp_path / "made").columns["observation.images.front"]
    assert np.array_equal(frames, LeRobotDataset.open(tmp_path / "plain").columns[CAMERA])


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    write_version_2(tmp_path / "plain")
    path = tmp_path / "plain/data/chunk-000/episode_000001.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"episode_000001\.parquet is not a valid parquet file \(truncated\?\)"):
        write_renamed(tmp_path / "plain", FOREIGN, tmp_path / "made")
