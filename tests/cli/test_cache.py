import os
import shutil
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASTRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    from astra.datasets import DatasetWriter, Episode

    columns = {"observation.state": np.arange(12, dtype=np.float32).reshape(6, 2)}
    with DatasetWriter(tmp_path / "data[red]", fps=5.0) as writer:
        writer.add(Episode(instruction="go", columns={**columns, "action": columns["observation.state"]}, fps=5.0))
    return tmp_path / "data[red]"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    from astra.cli.main import main

    assert main(arguments) == 0
    return capsys.readouterr().out


def test_datasets_are_listed_and_cleared(data: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.datasets import LeRobotDataset

    assert "0 MB of at most 50.0 GB" in printed(capsys, "cache", "list")
    LeRobotDataset.open(data)
    assert str(data) in printed(capsys, "cache", "list")
    assert "removed 1 of 1" in printed(capsys, "cache", "clear", str(data))
    assert [path.name for path in root.iterdir()] == ["lock"]


def test_what_is_open_is_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.datasets import LeRobotDataset

    dataset = LeRobotDataset.open(data)
    assert "open" in printed(capsys, "cache", "list")
    text = printed(capsys, "cache", "clear")
    assert "removed 0 of 1" in text
    assert f"kept the cache of {data}" in text
    assert dataset.columns["action"][5, 1] == 11


def test_the_cache_of_a_dataset_that_is_gone_is_marked(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.datasets import LeRobotDataset

    LeRobotDataset.open(data)
    shutil.rmtree(data)
    assert "dataset is gone" in printed(capsys, "cache", "list")
    assert "removed 1 of 1" in printed(capsys, "cache", "clear", str(data))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no action was given"),
        (["clean"], "did you mean 'clear'"),
        (["clear", "nowhere"], "nothing is cached of nowhere"),
    ],
)
def test_wrong_input_is_one_message(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main

    assert main(["cache", *arguments]) == 2
    assert message in capsys.readouterr().err


def flip_last_byte(path: Path) -> None:
    facts = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_full_inspection_finds_a_changed_byte_of_the_cache_and_reads_it_again(
    data: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.datasets import LeRobotDataset

    first = printed(capsys, "inspect", "dataset", str(data), "--full")
    assert "made now" in first
    assert "equal to the files" in printed(capsys, "inspect", "dataset", str(data), "--full")
    flip_last_byte(next(root.rglob("action.npy")))
    assert "the cached action" in printed(capsys, "inspect", "dataset", str(data), "--full")
    assert LeRobotDataset.open(data).columns["action"][5, 1] == 11


def test_a_full_inspection_finds_a_change_that_left_no_trace_in_sizes_and_times(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.datasets.lerobot import cache

    monkeypatch.setattr(cache, "fingerprint", lambda *_: "the same for ever")
    first = printed(capsys, "inspect", "dataset", str(data), "--full")
    with (data / "meta/stats.json").open("a") as file:
        file.write(" ")
    text = printed(capsys, "inspect", "dataset", str(data), "--full")
    assert "made again" in text
    assert "meta/stats.json" in text
    assert text.splitlines()[0] != first.splitlines()[0]
