"""`astra view`: what is logged to Rerun, and the message where it is not installed."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import MagicMock

import numpy as np
import pytest

from astra.cli.main import main
from tests.analysis.test_inspection import recorded, write
from tests.datasets.lerobot.recordings import CAMERA, write_version_3


class Recording:
    """Stand-in for a recording of Rerun that keeps what it is given."""

    made: ClassVar[list["Recording"]] = []

    def __init__(self, application: str, recording_id: str) -> None:
        self.name, self.logged, self.times, self.file = recording_id, [], [], ""
        Recording.made.append(self)

    def save(self, path: Path) -> None:
        self.file = path.name

    def set_time(self, timeline: str, **at: float) -> None:
        self.times.append((timeline, *at.items()))

    def log(self, entity: str, value: Any, **options: bool) -> None:
        self.logged.append((entity, value))

    def flush(self) -> None:
        pass


def test_frames_states_and_actions_of_the_episodes_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = write_version_3(tmp_path / "data", lengths=(4, 3, 5))
    image = lambda frame: SimpleNamespace(compress=lambda jpeg_quality: frame)  # noqa: E731
    fake = SimpleNamespace(RecordingStream=Recording, TextDocument=str, Scalars=list, Image=image)
    monkeypatch.setitem(sys.modules, "rerun", fake)
    monkeypatch.setattr(Recording, "made", [])
    command = ["view", str(tmp_path / "data"), "--episodes", "2", "0", "--save", str(tmp_path / "seen.rrd")]
    assert main(command) == 0
    assert [(each.name, each.file) for each in Recording.made] == [
        ("data, episode 2", "seen-2.rrd"),
        ("data, episode 0", "seen-0.rrd"),
    ]
    logged = Recording.made[0].logged
    assert logged[0] == ("instruction", "go left")
    assert np.array_equal([value for name, value in logged if name == CAMERA], expected[2])
    assert [len(value) for name, value in logged if name == "action"] == 5 * [2]
    assert ("time", ("duration", 0.4)) in Recording.made[0].times
    assert main([*command[:3], "3"]) == 2


def test_what_is_wrong_is_printed_and_shown_beside_its_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    again = [recorded(0), recorded(1), recorded(0)]
    fake = SimpleNamespace(RecordingStream=Recording, TextDocument=str, Scalars=list, Image=MagicMock())
    monkeypatch.setitem(sys.modules, "rerun", fake)
    monkeypatch.setattr(Recording, "made", [])
    folder = str(write(tmp_path / "data", again))
    assert main(["view", folder, "--episodes", "0", "1", "--save", str(tmp_path / "seen.rrd")]) == 0
    assert "WRONG: duplicated episodes: 1 of 3 episodes" in capsys.readouterr().out
    shown = [[value for name, value in each.logged if name == "findings"] for each in Recording.made]
    assert [len(found) for found in shown] == [1, 0]
    assert shown[0][0].startswith("duplicated episodes: 1 of 3")


def test_without_rerun_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    write_version_3(tmp_path / "data", lengths=(2, 2))
    assert main(["view", str(tmp_path / "data")]) == 2
    assert "pip install '.[view]'" in capsys.readouterr().err
