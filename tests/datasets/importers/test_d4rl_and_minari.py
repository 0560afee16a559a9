"""D4RL's and Minari's files, written here, whole and damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astra.datasets.importers.d4rl import read_d4rl
from astra.datasets.importers.minari import open_minari, read_minari

h5py = pytest.importorskip("h5py")
T = 6


def d4rl(path: Path, **changes: Any) -> Path:
    """Write two episodes of two and four timesteps; a change replaces an array, None leaves it out."""
    arrays: dict[str, Any] = {
        "observations": np.arange(T * 3, dtype=np.float32).reshape(T, 3),
        "actions": np.linspace(-1, 1, T * 2, dtype=np.float32).reshape(T, 2),
        "rewards": np.zeros(T),
        "terminals": np.arange(T) == 1,
    }
    with h5py.File(path, "w") as file:
        for name, values in (arrays | changes).items():
            if callable(values):
                values(file)
            elif values is not None:
                file[name] = values
    return path


def minari(folder: Path, metadata: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a dataset of two episodes, whose observations are a group of two vectors."""
    (folder / "data").mkdir(parents=True)
    spec = json.dumps({"id": "Door-v1"})
    description = {"total_episodes": 2, "data_format": "hdf5", "env_spec": spec} | (metadata or {})
    (folder / "data" / "metadata.json").write_text(json.dumps(description))
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for number, length in enumerate((2, 3)):
            arrays: dict[str, Any] = {
                "observations/hand": np.full((length + 1, 3), number, np.float64),
                "observations/door": np.ones((length + 1, 1)),
                "actions": np.full((length, 2), 0.5, np.float32),
            }
            for name, values in (arrays | changes).items():
                if values is not None:
                    file[f"episode_{number}/{name}"] = values
    return folder


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("mark", ["terminals", "timeouts"])
def test_a_file_of_d4rl_is_split_where_an_episode_ends(tmp_path: Path, mark: str, compressed: bool) -> None:
    ends = np.arange(T) == 1
    path = d4rl(tmp_path / "a.hdf5", **{"terminals": None, mark: ends})
    if compressed:
        with h5py.File(path, "a") as file:
            values = file["observations"][()]
            del file["observations"]
            file.create_dataset("observations", data=values, chunks=(4, 2), compression="gzip")
    episodes = list(read_d4rl(path))
    assert [len(actions) for _, actions in episodes] == [2, 4]
    assert np.array_equal(np.concatenate([seen for seen, _ in episodes]), np.arange(T * 3).reshape(T, 3))


def external(file: Any) -> None:
    file["observations"] = h5py.ExternalLink("/etc/other.hdf5", "observations")


def soft(file: Any) -> None:
    file["observations"] = h5py.SoftLink("/actions")


def raw_elsewhere(file: Any) -> None:
    file.create_dataset("observations", (T, 3), "f4", external=[("/etc/hostname", 0, T * 12)])


def unwritten(file: Any) -> None:
    file.create_dataset("observations", (T, 3), "f4", chunks=(2, 3))[:2] = 1.0


def enormous(file: Any) -> None:
    file.create_dataset("observations", (10**12, 3), "f4", chunks=(10**6, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": None}, "has no 'observations'; it holds actions, rewards, terminals"),
        ({"actions": None}, "has no 'actions'"),
        ({"terminals": None}, "has neither terminals nor timeouts"),
        ({"actions": np.zeros((T - 1, 2))}, "'actions': 5"),
        ({"terminals": np.zeros(T + 1, bool)}, "'terminals': 7"),
        ({"terminals": np.zeros((T, 1), bool)}, "one row per timestep"),
        ({"observations": np.full((T, 3), np.nan)}, "'observations': NaN or infinite value at row 0"),
        ({"actions": np.where(np.arange(T * 2) == 9, np.inf, 0).reshape(T, 2)}, "'actions': NaN or infinite .* row 4"),
        ({"observations": np.zeros(T)}, r"has the shape \(6,\), expected \(timesteps, numbers\)"),
        ({"observations": np.array([b"a"] * T)}, "expected an array of plain numbers"),
        ({"observations": np.zeros((T, 3), complex)}, "expected an array of plain numbers"),
        ({"observations": np.zeros((T, 2), [("a", "f4"), ("b", "i4")])}, "expected an array of plain numbers"),
        ({"observations": ["text"] * T}, "the type object"),
        ({"observations": None, "observations/deeper": np.zeros((T, 3))}, "is a group, expected an array"),
        ({"observations": external}, "is a link to another place"),
        ({"observations": soft}, "is a link to another place"),
        ({"observations": raw_elsewhere}, "lies in another file"),
        ({"observations": unwritten}, "was not written completely"),
        ({"observations": enormous}, "expected at most 8,589,934,592"),
    ],
)
def test_a_hostile_or_damaged_file_is_one_message(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(read_d4rl(d4rl(tmp_path / "a.hdf5", **changes)))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = d4rl(tmp_path / "a.hdf5")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"a\.hdf5 is not a complete HDF5 file \(truncated\?\)"):
        list(read_d4rl(path))


def test_a_damaged_chunk_is_refused(tmp_path: Path) -> None:
    path = d4rl(tmp_path / "a.hdf5", observations=None)
    with h5py.File(path, "a") as file:
        made = file.create_dataset("observations", data=np.random.default_rng(0).random((T, 3)), compression="gzip")
        place = made.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(ValueError, match="'observations' is damaged"):
        list(read_d4rl(path))


def test_a_dataset_of_minari_is_read_without_the_last_observation(tmp_path: Path) -> None:
    folder = minari(tmp_path / "door")
    assert open_minari(folder).environment == "Door-v1"
    episodes = list(read_minari(folder, instruction="open the door", fps=20.0))
    assert [len(episode) for episode in episodes] == [2, 3]
    columns = episodes[1].columns
    assert {name: values.shape for name, values in columns.items()} == {
        "observation.hand": (3, 3),
        "observation.door": (3, 1),
        "action": (3, 2),
    }
    assert (columns["observation.hand"] == 1).all()
    one = {"observations/hand": None, "observations/door": None, "observations": np.zeros((3, 4))}
    alone = minari(tmp_path / "alone", **one)
    with pytest.raises(ValueError, match="'observation' has 3 rows, expected 4"):
        list(read_minari(alone, instruction="", fps=1.0))


@pytest.mark.parametrize(
    ("metadata", "changes", "message"),
    [
        ({"data_format": "arrow"}, {}, "stored as 'arrow', expected 'hdf5'"),
        ({"total_episodes": 0}, {}, "total_episodes is 0"),
        ({"total_episodes": "2"}, {}, "total_episodes is '2'"),
        ({"total_episodes": 3}, {}, "has no 'episode_2'"),
        ({"env_spec": "{"}, {}, "env_spec cannot be read"),
        ({"env_spec": "[1]"}, {}, "env_spec cannot be read"),
        ({}, {"actions": None}, "episode_0 has no 'actions'"),
        ({}, {"observations/door": np.full((3, 1), np.nan)}, "'door': NaN or infinite"),
        ({}, {"observations/door": np.zeros((9, 1))}, "'door' has 9 rows, expected 3: one more than actions"),
        ({}, {"observations/door": np.zeros((3, 8, 8, 3), np.uint8)}, r"expected \(timesteps, numbers\)"),
        ({}, {"actions": [b"a", b"b"]}, "expected an array of plain numbers"),
    ],
)
def test_a_damaged_dataset_of_minari_is_one_message(
    tmp_path: Path, metadata: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        list(read_minari(minari(tmp_path / "door", metadata, **changes), instruction="", fps=1.0))


@pytest.mark.parametrize("read", [read_d4rl, open_minari])
def test_a_missing_source_is_named(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(read(tmp_path / "nowhere"))
    (tmp_path / "metadata.json").write_text("[]")
    with pytest.raises(ValueError, match="metadata"):
        open_minari(tmp_path)


def test_without_h5py_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = d4rl(tmp_path / "a.hdf5")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs h5py: pip install '\.\[hdf5\]'"):
        list(read_d4rl(path))
