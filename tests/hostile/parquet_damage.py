"""Wrong content in parquet files that are valid in themselves: each edit is one that the format lets a reader see."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Edit = Callable[[Random, pa.Table], pa.Table]


def set_column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Replace a column."""
    return table.set_column(table.column_names.index(name), name, values)


def _vectors(random: Random, table: pa.Table) -> str:
    names = [n for n in table.column_names if n == "action" or (n.startswith("observation.") and "image" not in n)]
    return random.choice([name for name in names if not pa.types.is_struct(table[name].type)])


def bad_number(random: Random, table: pa.Table) -> pa.Table:
    """Put NaN, infinity or nothing in the place of a number."""
    name = _vectors(random, table)
    rows = table[name].to_pylist()
    row, bad = random.randrange(len(rows)), random.choice([float("nan"), float("inf"), -float("inf"), None, 1e300])
    if isinstance(rows[row], list):
        rows[row][random.randrange(len(rows[row]))] = bad
        kind = pa.list_(pa.float64())
    else:
        rows[row], kind = bad, pa.float64()
    return set_column(table, name, pa.array(rows, kind))


def bad_length(random: Random, table: pa.Table) -> pa.Table:
    """Make one vector shorter, longer or empty."""
    name = _vectors(random, table)
    rows = [value if isinstance(value, list) else [value] for value in table[name].to_pylist()]
    row = random.randrange(len(rows))
    rows[row] = random.choice([rows[row][:-1], [*rows[row], 1.0], []])
    return set_column(table, name, pa.array(rows, pa.list_(pa.float32())))


def bad_type(random: Random, table: pa.Table) -> pa.Table:
    """Give a column another type."""
    name = random.choice(table.column_names)
    rows = len(table)
    values: list[pa.Array] = [
        pa.array(["a"] * rows),
        pa.nulls(rows),
        pa.array([[["a"]]] * rows),
        pa.array([b"\xff"] * rows),
        pa.array([{"bytes": "text", "path": None}] * rows),
        pa.array([{"a": 1}] * rows),
        pa.array([[1.0] * 1000] * rows),
        pa.array(["a"] * rows).dictionary_encode(),
        pa.array([0] * rows, pa.timestamp("ns")),
        pa.array([0] * rows, pa.decimal128(38, 2)),
    ]
    return set_column(table, name, random.choice(values))


def drop_column(random: Random, table: pa.Table) -> pa.Table:
    """Leave a column out that a reader needs."""
    needed = [n for n in table.column_names if n in ("action", "episode_index", "task_index", "length", "tasks")]
    return table.drop_columns([random.choice(needed)])


def drop_rows(random: Random, table: pa.Table) -> pa.Table:
    """Leave rows out."""
    start = random.randrange(len(table))
    return pa.concat_tables([table.slice(0, start), table.slice(start + random.choice([1, 3, len(table)]))])


def repeat_rows(random: Random, table: pa.Table) -> pa.Table:
    """Write a row twice."""
    start = random.randrange(len(table))
    return pa.concat_tables([table.slice(0, start + 1), table.slice(start)])


def bad_index(random: Random, table: pa.Table) -> pa.Table:
    """Change an index that rows and episodes share."""
    names = [n for n in ("episode_index", "task_index", "length", "dataset_from_index") if n in table.column_names]
    name = random.choice(names)
    values = table[name].to_pylist()
    row = random.randrange(len(values))
    values[row] = random.choice([values[row] + 1, -1, 2**40, 2**62, None])
    return set_column(table, name, pa.array(values, pa.int64()))


def bad_times(random: Random, table: pa.Table) -> pa.Table:
    """Run the clock backward, at another rate, or not at all."""
    if "timestamp" not in table.column_names:
        return bad_index(random, table)
    times = np.array(table["timestamp"].to_numpy())
    changed: Any = random.choice([-times, times * 2, times * 0, times * np.nan, times[::-1], times + 1e30 * times])
    return set_column(table, "timestamp", pa.array(changed.astype(np.float32)))


def _header(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    """Return the beginning of a PNG file of any size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def _bomb() -> bytes:
    """Return a PNG file of a small frame whose data unpack to 200 MB."""
    body = b"IDAT" + zlib.compress(bytes(200 * 2**20), 1)
    return _header(8, 8) + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _picture(kind: str, shape: tuple[int, ...] = (12, 16, 3)) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.zeros(shape, np.uint16 if len(shape) == 2 else np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def bad_frame(random: Random, table: pa.Table) -> pa.Table:
    """Put something else in the place of a frame."""
    names = [name for name in table.column_names if pa.types.is_struct(table[name].type)]
    if not names:
        return bad_length(random, table)
    name = random.choice(names)
    rows = table[name].to_pylist()
    row = random.randrange(len(rows))
    own = rows[row]["bytes"]
    flipped = bytearray(own)
    flipped[random.randrange(len(own))] ^= 1 << random.randrange(8)
    rows[row] = random.choice(
        [
            {"bytes": bytes(flipped), "path": None},
            {"bytes": own[: random.randrange(len(own))], "path": None},
            {"bytes": b"", "path": None},
            {"bytes": None, "path": "/etc/passwd"},
            {"bytes": None, "path": "../../../outside.png"},
            {"bytes": random.randbytes(400), "path": None},
            {"bytes": _header(13_000, 13_000) + own[33:], "path": None},
            {"bytes": _header(2**31 - 1, 2**31 - 1) + own[33:], "path": None},
            {"bytes": _bomb(), "path": None},
            {"bytes": _picture("PNG", (12, 16)), "path": None},
            {"bytes": _picture("PNG", (5, 5, 3)), "path": None},
            {"bytes": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 12\n(x) run\n", "path": None},
            None,
        ]
    )
    return set_column(table, name, pa.array(rows, table[name].type))


def huge_text(random: Random, table: pa.Table) -> pa.Table:
    """Put texts of 300 MB, which pack to nearly nothing, in the place of instructions."""
    text = "a" * (300 * 2**20)
    if "tasks" in table.column_names:
        rows = pa.array([[text]]).take(pa.array([0] * len(table)))
        return set_column(table, "tasks", rows)
    name = next((n for n in table.column_names if pa.types.is_string(table[n].type)), None)
    if name is None:
        return bad_type(random, table)
    return set_column(table, name, pa.array([text, *table[name].to_pylist()[1:]]))


DATA_EDITS: tuple[Edit, ...] = (
    *(bad_number, bad_length, bad_type, drop_column, drop_rows, repeat_rows, bad_index, bad_times, bad_frame),
)
META_EDITS: tuple[Edit, ...] = (bad_type, drop_rows, repeat_rows, bad_index, huge_text)


def edit(random: Random, path: Path) -> str:
    """Rewrite a parquet file of a dataset with one thing wrong in it, and return a description."""
    table = pq.ParquetFile(path).read()
    chosen = random.choice(META_EDITS if "meta" in path.parts else DATA_EDITS)
    if chosen is bad_index and not {"episode_index", "task_index"} & set(table.column_names):
        chosen = bad_type
    pq.write_table(chosen(random, table), path, write_page_checksum=True, compression="zstd")
    return f"{chosen.__name__.replace('_', ' ')}: {path.parent.parent.name}/{path.name}"
