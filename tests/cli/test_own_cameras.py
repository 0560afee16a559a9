"""Datasets with cameras as LeRobot records them, from the Hub; tests/cli/test_your_robot.py has those of a folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets.lerobot.recordings import write_version_3
from tests.storage.fake_hub import COMMIT, REPOSITORY, serving
from tests.storage.test_hub import environment

TINY = [
    *("--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"),
    *("--training.updates", "2", "--training.batch-size", "4", "--training.validation-every", "2"),
]


@pytest.mark.slow
def test_a_dataset_of_the_hub_is_trained_on_by_its_id_and_pinned_in_the_run(tmp_path: Path) -> None:
    write_version_3(tmp_path / "source", lengths=(7, 5, 9, 6))
    run = tmp_path / "run"
    with serving(tmp_path / "source") as hub:
        started = environment(tmp_path, hub)
        for command in (
            ["train", "own-data", "--dataset", REPOSITORY, "--output", str(run), *TINY],
            ["train", "--output", str(run), "--resume", "--training.updates", "3"],
            ["inspect", "open-loop", str(run)],
        ):
            hub.requests.clear()
            done = subprocess.run(
                [sys.executable, "-m", "astra", *command],
                env=started,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert bool(hub.requests) == (command[1] == "own-data")
    assert json.loads((run / "config.json").read_text())["description"]["dataset"] == f"{REPOSITORY}@{COMMIT}"
