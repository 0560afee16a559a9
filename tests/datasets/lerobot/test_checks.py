"""What the values of a dataset say against what its metadata say."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from astra.datasets import Episode, LeRobotDataset
from astra.datasets.lerobot.layout import decode_image, encode_png

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
TASKS = "meta/tasks.parquet"


def set_column(path: Path, column: str, values: pa.Array) -> None:
    table = pq.ParquetFile(path).read()
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, values), path)


def set_entry(path: Path, key: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_bounds_are_those_of_the_data_and_not_of_their_statistics(dataset_folder: Path) -> None:
    before = LeRobotDataset.open(dataset_folder).spec
    stats = dataset_folder / "meta/stats.json"
    action = json.loads(stats.read_text())["action"]
    set_entry(stats, "action", {**action, "min": [-0.1, -0.1], "max": [0.1, 0.1]})
    with pytest.warns(UserWarning, match=r"stats\.json has other bounds of action than the data"):
        assert LeRobotDataset.open(dataset_folder).spec == before
    set_entry(stats, "action", "none")
    assert LeRobotDataset.open(dataset_folder).spec == before
    stats.unlink()
    assert LeRobotDataset.open(dataset_folder).spec == before


@pytest.mark.parametrize("factor", [0.5, 5.0, np.nan])
def test_timestamps_of_another_rate_are_refused(dataset_folder: Path, factor: float) -> None:
    times = np.concatenate([np.arange(length) for length in (7, 1, 4, 12)]) / 5 * factor
    set_column(dataset_folder / DATA, "timestamp", pa.array(times, pa.float32()))
    with pytest.raises(ValueError, match=r"says 5 timesteps per second, so timestamps should be 0\.2 s apart"):
        LeRobotDataset.open(dataset_folder)


def test_a_dropped_frame_is_a_warning(dataset_folder: Path) -> None:
    times = np.concatenate([np.arange(length) for length in (7, 1, 4, 12)]) / 5
    times[18:] += 0.4
    set_column(dataset_folder / DATA, "timestamp", pa.array(times, pa.float32()))
    with pytest.warns(UserWarning, match="1 of 20 timestamps do not follow"):
        LeRobotDataset.open(dataset_folder)


def test_rows_and_episodes_name_the_same_instruction(dataset_folder: Path) -> None:
    set_column(dataset_folder / TASKS, "task_index", pa.array([1, 0]))
    with pytest.raises(ValueError, match="the rows of episode 0 name another instruction"):
        LeRobotDataset.open(dataset_folder)
    set_column(dataset_folder / TASKS, "__index_level_0__", pa.array(["go left", "go up"]))
    with pytest.raises(ValueError, match=r"instruction of episode 1 is 'go right', which .* does not have"):
        LeRobotDataset.open(dataset_folder)
    set_column(dataset_folder / TASKS, "__index_level_0__", pa.array(["go left", "go left"]))
    with pytest.raises(ValueError, match="has an instruction or an index twice"):
        LeRobotDataset.open(dataset_folder)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("data/chunk_index", pa.array([0, 0, None, 0]), "missing values, or not whole numbers"),
        ("length", pa.array([7.0, 1.0, 4.0, 12.0]), "missing values, or not whole numbers"),
        ("length", pa.array([7, 1, -4, 12]), "episode 2 has length -4, expected at least 0"),
        ("data/file_index", pa.array([0, -1, 0, 0]), "episode 1 has data/file_index -1"),
        ("tasks", pa.array(["go left", "go right"] * 2), "missing values, or not lists of texts"),
    ],
)
def test_rows_of_episodes_of_another_type_are_refused(
    dataset_folder: Path, column: str, values: pa.Array, message: str
) -> None:
    set_column(dataset_folder / EPISODES, column, values)
    with pytest.raises(ValueError, match=message):
        LeRobotDataset.open(dataset_folder)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("observation.state", pa.array(["text"] * 24)),
        ("observation.gripper", pa.array([b"bytes"] * 24)),
        ("action", pa.array([[["nested"]]] * 24)),
        ("observation.image", pa.array([[0.0] * 3] * 24)),
    ],
)
def test_columns_of_another_type_are_refused_by_name(dataset_folder: Path, column: str, values: pa.Array) -> None:
    set_column(dataset_folder / DATA, column, values)
    with pytest.raises(ValueError, match=rf"column '{column}': got the type .*, but by its dtype"):
        LeRobotDataset.open(dataset_folder)


@pytest.mark.parametrize("column", ["timestamp", "episode_index", "task_index"])
@pytest.mark.parametrize(
    "values",
    [pa.array([{"a": 1}] * 24), pa.array(["1"] * 24), pa.array([[["1"]]] * 24), pa.array([0] * 24, pa.timestamp("s"))],
)
def test_index_columns_of_another_type_are_refused_by_name(dataset_folder: Path, column: str, values: pa.Array) -> None:
    set_column(dataset_folder / DATA, column, values)
    with pytest.raises(ValueError, match=rf"column '{column}': got values of type .*, expected (whole )?numbers"):
        LeRobotDataset.open(dataset_folder)


def test_rows_of_different_lengths_are_refused(dataset_folder: Path) -> None:
    set_column(dataset_folder / DATA, "observation.state", pa.array([[0.0] * 2, [0.0] * 4] * 12))
    with pytest.raises(ValueError, match=r"'observation\.state'.*differ in length, expected 3 values"):
        LeRobotDataset.open(dataset_folder)


def test_an_episode_without_timesteps_is_left_out(dataset_folder: Path) -> None:
    set_column(dataset_folder / EPISODES, "length", pa.array([7, 0, 5, 12]))
    set_column(dataset_folder / EPISODES, "dataset_from_index", pa.array([0, 7, 7, 12]))
    rows = np.repeat([0, 2, 3], [7, 5, 12])
    set_column(dataset_folder / DATA, "episode_index", pa.array(rows))
    set_column(dataset_folder / DATA, "task_index", pa.array(rows % 2))
    set_column(dataset_folder / DATA, "timestamp", pa.array(np.r_[0:7, 0:5, 0:12] / 5, pa.float32()))
    with pytest.warns(UserWarning, match="episode 1 without timesteps left out"):
        dataset = LeRobotDataset.open(dataset_folder)
    assert dataset.lengths.tolist() == [7, 5, 12]
    assert dataset.starts.tolist() == [0, 7, 12]
    assert dataset.instructions == ("go left", "go left", "go right")
    with pytest.raises(ValueError, match=r"3 of 3 episodes \(episode 1 has no timesteps\) leaves none"):
        dataset.split_episodes(0.99, seed=0)


def test_braces_in_a_dataset_without_pictures_are_text(dataset_folder: Path) -> None:
    texts = ["go {left}", "go right {}"]
    set_column(dataset_folder / TASKS, "__index_level_0__", pa.array(texts))
    set_column(dataset_folder / EPISODES, "tasks", pa.array([[text] for text in texts * 2]))
    assert LeRobotDataset.open(dataset_folder).spec.instructions == ("go right {}", "go {left}")


def test_episodes_without_an_instruction_are_told_where_others_have_one(dataset_folder: Path) -> None:
    texts = ["go left", " "]
    set_column(dataset_folder / TASKS, "__index_level_0__", pa.array(texts))
    set_column(dataset_folder / EPISODES, "tasks", pa.array([[text] for text in texts * 2]))
    with pytest.warns(UserWarning, match="2 of 4 episodes have no instruction, such as episode 1"):
        assert LeRobotDataset.open(dataset_folder).spec.instructions == (" ", "go left")
    set_column(dataset_folder / TASKS, "__index_level_0__", pa.array(["", " "]))
    set_column(dataset_folder / EPISODES, "tasks", pa.array([[text] for text in ("", " ") * 2]))
    assert LeRobotDataset.open(dataset_folder).spec.instructions == ("", " ")


def test_an_instruction_as_long_as_a_book_is_refused(dataset_folder: Path) -> None:
    texts = ["go left", "go " * 5000]
    set_column(dataset_folder / TASKS, "__index_level_0__", pa.array(texts))
    set_column(dataset_folder / EPISODES, "tasks", pa.array([[text] for text in texts * 2]))
    with pytest.raises(ValueError, match=r"has 15,000 characters, expected at most 10,000"):
        LeRobotDataset.open(dataset_folder)


def test_gray_frames_become_color(make_episode: Callable[..., Episode]) -> None:
    gray = make_episode(0, camera=True).columns["observation.image"][0, :, :, 0]
    assert np.array_equal(decode_image(png(gray), (6, 9)), np.repeat(gray[:, :, None], 3, axis=2))


def stored(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def tiff_of_16_bits(pixels: np.ndarray) -> bytes:
    """Write an RGB picture of 16 bits per channel, which Pillow reads but cannot write."""
    (height, width, _), data = pixels.shape, pixels.astype("<u2").tobytes()
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8 + len(data)), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data))]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 14 + len(data)) + data + struct.pack("<3H", 16, 16, 16) + directory


def test_frames_deeper_than_8_bits_are_refused(dataset_folder: Path) -> None:
    depth = np.full((6, 9), 600, np.uint16)
    color = bytearray(encode_png(np.zeros((6, 9, 3), np.uint8)))
    color[24] = 16
    others = stored(depth, "TIFF"), stored(depth.astype(np.float32), "TIFF"), stored(depth.astype(np.int32), "TIFF")
    for data in (png(depth), bytes(color), tiff_of_16_bits(np.repeat(depth[:, :, None], 3, axis=2)), *others):
        with pytest.raises(ValueError, match=r"8 bits per channel|not a complete image"):
            decode_image(data)
    assert decode_image(stored(np.full((6, 9, 3), 7, np.uint8), "TIFF"), (6, 9)).max() == 7
    frames = pa.array([{"bytes": png(depth), "path": None}] * 24)
    set_column(dataset_folder / DATA, "observation.image", frames)
    with pytest.raises(
        ValueError, match=r"'observation\.image', episode 0, timestep 0: got a frame of more than 8 bits"
    ):
        LeRobotDataset.open(dataset_folder)


def test_the_size_of_a_frame_is_checked_before_it_is_decoded() -> None:
    header = encode_png(np.zeros((1, 1, 3), np.uint8))[:16] + (9_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    bomb = header + zlib.crc32(header[12:]).to_bytes(4, "big") + encode_png(np.zeros((1, 1, 3), np.uint8))[33:]
    with pytest.raises(ValueError, match=r"got a frame of \(9000, 9000\) pixels, expected \(6, 9\)"):
        decode_image(bomb, (6, 9))


def test_texts_in_a_picture_that_unpack_to_more_than_the_picture_are_not_read() -> None:
    plain = encode_png(np.zeros((6, 9, 3), np.uint8))
    body = b"zTXtcomment\x00\x00" + zlib.compress(bytes(50 * 2**20))
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    with pytest.raises(ValueError, match="not a complete image: Decompressed data too large"):
        decode_image(plain[:33] + chunk + plain[33:])


def test_tables_of_more_text_than_memory_should_hold_are_refused(
    dataset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astra.datasets.lerobot.tables.LARGEST_TABLE", 100)
    with pytest.raises(ValueError, match=r"unpacks to \d+ bytes, expected at most 100"):
        LeRobotDataset.open(dataset_folder)


def test_a_flipped_bit_in_a_data_file_is_found(dataset_folder: Path) -> None:
    path = dataset_folder / DATA
    metadata = pq.ParquetFile(path).metadata
    places = [metadata.row_group(group).column(column) for group in range(4) for column in range(3)]
    whole = path.read_bytes()
    for place in places:
        start = place.dictionary_page_offset or place.data_page_offset
        spoiled = bytearray(whole)
        spoiled[start + place.total_compressed_size - 1] ^= 1
        path.write_bytes(bytes(spoiled))
        with pytest.raises(ValueError, match="is not a valid parquet file"):
            LeRobotDataset.open(dataset_folder)
