"""The page "Your robot", run from the first to the last block."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import main
from tests.cli.test_own_cameras import TINY
from tests.datasets.lerobot.recordings import write_version_2, write_version_3

PAGE = Path(__file__).resolve().parents[2] / "docs/your-robot.md"


@pytest.mark.parametrize("write", [write_version_3, pytest.param(write_version_2, marks=pytest.mark.slow)])
def test_the_page_leads_from_recordings_to_actions(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "data/mine", lengths=(7, 5, 9, 6))
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE.read_text().split("## Measured")[0], flags=re.DOTALL)
    for language, block in blocks:
        if language == "python":
            exec(compile(block, "your-robot", "exec"), found)
            continue
        command = shlex.split(block)[1:]
        assert main([*command, *(TINY if command[0] == "train" else ())]) == 0
    assert (tmp_path / "mine.html").read_text().count('class="card episode"') == 4
    assert "Predicted and demonstrated actions" in (tmp_path / "runs/mine/report.html").read_text()
    spec = found["policy"].spec
    assert [tuple(action.shape) for action in found["actions"]] == 5 * [(1, len(spec.actions))]
    for action in found["actions"]:
        assert ((action >= min(spec.actions.low)) & (action <= max(spec.actions.high))).all()
    assert "observation.images.top" in capsys.readouterr().out
