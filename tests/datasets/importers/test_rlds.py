"""RLDS without TensorFlow: written here byte by byte, and the real sample where it is present."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.datasets.importers.rlds.checksum import crc32c, masked_crc32c
from astra.datasets.importers.rlds.importer import open_rlds
from astra.datasets.importers.rlds.records import count_records, read_records
from astra.datasets.lerobot.layout import encode_png

SAMPLE = Path(__file__).resolve().parents[4] / "shared/data/bridge_rlds"


def varint(value: int) -> bytes:
    value %= 2**64
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(values: object) -> bytes:
    if isinstance(values, list):
        return field(1, b"".join(field(1, value) for value in values))
    array = np.asarray(values)
    if array.dtype == np.float32:
        return field(2, field(1, array.tobytes()))
    return field(3, field(1, b"".join(varint(int(value)) for value in array.reshape(-1))))


def example(features: dict[str, Any]) -> bytes:
    entries = [field(1, field(1, key.encode()) + field(2, feature(values))) for key, values in features.items()]
    return field(1, b"".join(entries))


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def episode(seed: int, timesteps: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (timesteps, 8, 12, 3), dtype=np.uint8)
    return {
        "steps/action": random.normal(size=(timesteps, 7)).astype(np.float32),
        "steps/observation/state": random.normal(size=(timesteps, 5)).astype(np.float32),
        "steps/observation/counter": np.arange(-1, timesteps - 1),
        "steps/observation/wrist": [encode_png(frame) for frame in frames],
        "steps/language_instruction": [b"lift the cup"] * timesteps,
        "steps/reward": np.zeros(timesteps, np.float32),
        "steps/is_first": np.arange(timesteps) == 0,
        "frames": frames,
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "robot/1.0.0"
    folder.mkdir(parents=True)
    for shard, numbers in enumerate(((0, 1), (2,))):
        records = [episode(number, 4 + number) for number in numbers]
        content = b"".join(framed(example({k: v for k, v in record.items() if k != "frames"})) for record in records)
        (folder / f"robot-train.tfrecord-{shard:05d}-of-00002").write_bytes(content)
    return folder


def test_the_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    random = np.random.default_rng(0)
    for length in (4, 8, 255, 256, 257, 5000):
        data = random.integers(0, 256, length, dtype=np.uint8).tobytes()
        register = 0xFFFFFFFF
        for byte in data:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
        assert crc32c(data) == register ^ 0xFFFFFFFF


def test_episodes_come_back_as_they_were_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "rlds", str(source), str(tmp_path / "data"), "--fps", "5"]) == 0
    said = capsys.readouterr().out
    assert "steps/observation/wrist -> observation.images.wrist" in said
    assert "steps/reward: left out (not read by policies)" in said
    assert "steps/language_instruction: left out (the instruction)" in said
    assert "kept 3 of 3 episodes" in said
    dataset = LeRobotDataset.open(tmp_path / "data")
    for number in range(3):
        written, read = episode(number, 4 + number), dataset.episode(number)
        assert read.instruction == "lift the cup"
        assert np.array_equal(read.columns["action"], written["steps/action"])
        assert np.array_equal(read.columns["observation.state"], written["steps/observation/state"])
        assert np.array_equal(read.columns["observation.counter"][:, 0], written["steps/observation/counter"])
        assert np.array_equal(read.columns["observation.images.wrist"], written["frames"])


def test_the_mapping_can_be_chosen_and_keys_of_one_column_are_concatenated(source: Path) -> None:
    state, counter = "steps/observation/state", "steps/observation/counter"
    columns = {"steps/action": "action", state: "observation.state", counter: "observation.state"}
    recordings = open_rlds(source, fps=5, columns=columns)
    read = next(recordings.read())
    assert read.columns["observation.state"].shape == (4, 6)
    assert recordings.dropped["steps/observation/wrist"] == "not chosen"
    with pytest.raises(ValueError, match=r"has no steps/arm; it has steps/action"):
        open_rlds(source, fps=5, columns={"steps/arm": "action"})
    with pytest.raises(ValueError, match=r"choose the columns by --columns"):
        open_rlds(source, fps=5, columns={state: "observation.state"})


@pytest.mark.parametrize("change", ["flip", "cut", "other"])
def test_a_damaged_file_is_named_and_nothing_is_left(
    source: Path, tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source / "robot-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": path.read_bytes()[:-30], "other": b"no records at all"}[change])
    assert main(["convert", "rlds", str(source), str(tmp_path / "data"), "--fps", "5"]) == 2
    assert f"{path}, record 0" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_what_is_no_rlds_is_explained(source: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no file \*-val\.tfrecord\*"):
        open_rlds(source, fps=5, split="val")
    records = {"steps/action": np.zeros((2, 3), np.float32), "steps/is_first": np.array([1, 0])}
    (tmp_path / "one").write_bytes(framed(example(records)))
    with pytest.raises(ValueError, match=r"has no steps/language_instruction: give the instruction of all episodes"):
        open_rlds(tmp_path / "one", fps=5)
    assert next(open_rlds(tmp_path / "one", fps=5, instruction="go").read()).instruction == "go"


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample of BridgeData lies outside the repository")
def test_the_real_sample_is_read_whole() -> None:
    (folder,) = {path.parent for path in SAMPLE.rglob("*.tfrecord*")}
    recordings = open_rlds(folder, fps=5)
    episodes = list(recordings.read())
    assert (len(episodes), sum(map(len, episodes))) == (recordings.total, 250) == (25, 250)
    assert len({read.instruction for read in episodes}) == 4
    assert episodes[0].columns["action"].shape == (10, 7)
    assert episodes[0].columns["observation.images.image_0"].shape == (10, 64, 64, 3)


def test_records_in_a_hole_of_gigabytes_are_not_counted_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "robot-train.tfrecord-00000-of-00001"
    path.write_bytes(framed(b"an example"))
    os.truncate(path, 4 * 2**30)
    assert count_records(path) == 2
    with pytest.raises(ValueError, match="record 1: its length is damaged"):
        list(read_records(path))
