"""Datasets by their id on the Hub: downloaded once, verified, resumed, and nothing sent where nothing needs to be."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from astra.storage.hub import parse_id
from tests.storage.fake_hub import COMMIT, PRIVATE, REPOSITORY, TOKEN, FakeHub, serving

ASK = """
import sys
from astra.storage.hub import local_folder, pinned
for name in sys.argv[1:]:
    try:
        print(local_folder(name), pinned(name))
    except (OSError, ValueError) as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    source = tmp_path / "source"
    for name, size in (("meta/info.json", 100), ("data/chunk-000/file-000.parquet", 300_000), ("more/large.bin", 10)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(os.urandom(size))
    with serving(source) as hub:
        yield hub


def environment(folder: Path, hub: FakeHub | None = None, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    home = {"HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    url = hub.url if hub else "http://127.0.0.1:9"
    return {**kept, **home, "HF_ENDPOINT": url, "HF_HUB_ETAG_TIMEOUT": "2", **more}


def ask(folder: Path, *names: str, hub: FakeHub | None = None, **more: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names],
        env=environment(folder, hub, **more),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_dataset_is_downloaded_once_pinned_and_then_read_without_the_network(tmp_path: Path, hub: FakeHub) -> None:
    (line,) = ask(tmp_path, REPOSITORY, hub=hub)
    folder, pin = line.split()
    assert pin == f"{REPOSITORY}@{COMMIT}"
    for name in ("meta/info.json", "data/chunk-000/file-000.parquet"):
        assert (Path(folder) / name).read_bytes() == hub.files[name]
    assert not (Path(folder) / "more").exists()
    assert sum(command == "GET" and path.endswith("file-000.parquet") for command, path, _ in hub.requests) == 1
    hub.requests.clear()
    assert ask(tmp_path, pin, hub=hub) == [line]
    assert ask(tmp_path, REPOSITORY, hub=hub, HF_HUB_OFFLINE="1") == [line]
    assert hub.requests == []


@pytest.mark.slow
def test_a_download_that_was_cut_off_continues_where_it_ended(tmp_path: Path, hub: FakeHub) -> None:
    large = "data/chunk-000/file-001.parquet"
    hub.files[large] = os.urandom(24 * 2**20)  # the library keeps parts of 10 MB
    hub.cut_off.add(large)
    (line,) = ask(tmp_path, f"hf://datasets/{REPOSITORY}@main", hub=hub)
    folder = Path(line.split()[0])
    assert (folder / large).read_bytes() == hub.files[large]
    ranges = [wanted for command, path, wanted in hub.requests if command == "GET" and path.endswith(large)]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert ranges[1].startswith("bytes=1")


def test_a_file_that_is_not_the_described_one_is_refused_and_fetched_again(tmp_path: Path, hub: FakeHub) -> None:
    hub.changed.add("meta/info.json")
    (line,) = ask(tmp_path, REPOSITORY, hub=hub)
    assert "meta/info.json is not the file that the Hub describes; it was removed: try again" in line
    assert "is not completely on this machine" in ask(tmp_path, REPOSITORY, hub=hub, HF_HUB_OFFLINE="1")[0]
    hub.changed.clear()
    (line,) = ask(tmp_path, REPOSITORY, hub=hub)
    assert (Path(line.split()[0]) / "meta/info.json").read_bytes() == hub.files["meta/info.json"]


def test_what_cannot_be_had_is_one_message(tmp_path: Path, hub: FakeHub) -> None:
    unknown, private, revision = ask(tmp_path, "robots/none", PRIVATE, f"{REPOSITORY}@v9", hub=hub)
    for line in (unknown, private):
        assert "nor a dataset of this name on the Hugging Face Hub, or it is private: log in by `hf auth login`" in line
    assert f"the dataset {REPOSITORY} on the Hub has no revision 'v9'" in revision
    (own,) = ask(tmp_path, PRIVATE, hub=hub, HF_TOKEN=TOKEN)
    assert own.endswith(f"{PRIVATE}@{COMMIT}")
    assert (
        "your token has no access to it"
        in ask(tmp_path, PRIVATE, hub=hub, HF_HOME=str(tmp_path / "b"), HF_TOKEN="x")[0]
    )
    hub.requests.clear()
    (offline,) = ask(tmp_path, "robots/none", hub=hub, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set: unset it to download the dataset, or give a folder" in offline
    assert hub.requests == []


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_one_message(tmp_path: Path) -> None:
    (line,) = ask(tmp_path, REPOSITORY)
    assert f"there is no folder {REPOSITORY}, and the dataset of this name could not be downloaded" in line


def test_folders_and_names_of_folders_are_never_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in ("mine/pushes", "data/pusht", "runs/x", "/a/b", "a/b/c", "one", "../a/b", "a/b@../c", "a b/c"):
        assert parse_id(name) is None, name
    assert parse_id("lerobot/pusht") == parse_id(Path("lerobot/pusht")) == ("lerobot/pusht", "main")
    assert parse_id(Path("hf://datasets/mine/pushes@refs/pr/3")) == ("mine/pushes", "refs/pr/3")


@pytest.mark.slow
def test_the_note_of_a_commit_lists_its_files(tmp_path: Path, hub: FakeHub) -> None:
    ask(tmp_path, REPOSITORY, hub=hub)
    (note,) = (tmp_path / "hf").rglob(f"astra/{COMMIT}.json")
    assert json.loads(note.read_text()) == ["data/chunk-000/file-000.parquet", "meta/info.json"]
