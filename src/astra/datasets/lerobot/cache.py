"""Columns of the parquet files, checked once and kept as memory-mapped .npy files in `cache/` inside the dataset.

The cache is named by a digest of the source files' sizes and times, so a changed dataset gets a new one. If the
dataset folder is read-only, the cache lies in the system's folder for temporary files.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from astra.datasets.episode import PART_DTYPES, PART_SHAPES, PARTS, object_column
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.checks import check_values
from astra.datasets.lerobot.metadata import Metadata
from astra.datasets.lerobot.prompts import StoredPrompts, write_prompts
from astra.datasets.lerobot.tables import read_batches
from astra.trajectory import TrajectorySpec

CACHE_FORMAT = 1
ROWS_AT_ONCE = 1024


def cached_columns(folder: Path, metadata: Metadata) -> dict[str, np.ndarray]:
    """Return every column as a read-only memory map: vectors float32 (rows, n), frames uint8 (rows, height, width, 3).

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: if rows are missing, or a value is NaN, infinite or not an image; the message names the episode and
            the column.
        OSError: if the disk has no space for the cache.
    """
    cache = cache_folder(folder)
    missing = [column for column in metadata.columns if not (cache / f"{column}.npy").exists()]
    if missing:
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            for path in write_columns(metadata, missing, Path(unfinished)):
                path.replace(cache / path.name)
    return {column: np.load(cache / f"{column}.npy", mmap_mode="r") for column in metadata.columns}


def cached_prompts(folder: Path, metadata: Metadata) -> StoredPrompts | None:
    """Return the pictures of all prompts as read-only memory maps; None if there are none or no objects are wanted.

    Raises:
        FileNotFoundError: if the file of prompts is missing.
        ValueError: if a part of a prompt has the wrong length; the message names the prompt.
    """
    if metadata.prompts is None or metadata.spec.objects is None:
        return None
    cache, views = cache_folder(folder), tuple(metadata.spec.objects.views)
    missing = [v for v in views if not all((cache / f"prompts.{v}.{part}.npy").exists() for part in PARTS)]
    if missing:
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            for path in write_prompts(folder, metadata.pictured, missing, Path(unfinished)):
                path.replace(cache / path.name)
    arrays = {
        view: {part: np.load(cache / f"prompts.{view}.{part}.npy", mmap_mode="r") for part in PARTS} for view in views
    }
    return StoredPrompts.open(metadata.prompts, metadata.pictured, arrays)


def cache_folder(folder: Path) -> Path:
    """Create the cache folder for the present state of the dataset, and remove those of earlier states."""
    sources = sorted(path for part in ("meta", "data") for path in (folder / part).rglob("*") if path.is_file())
    facts = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    root = folder / "cache"
    if not _is_writable(root):
        root = Path(tempfile.gettempdir()) / f"astra-cache-{os.getuid()}" / _digest(str(folder.resolve()))
    cache = root / f"astra-{_digest([CACHE_FORMAT, facts])}"
    cache.mkdir(parents=True, exist_ok=True)
    for earlier in root.glob("astra-*"):
        if earlier != cache:
            shutil.rmtree(earlier, ignore_errors=True)
    return cache


def check_disk_space(folder: Path, needed: int, what: str) -> None:
    """Check that the disk has space for a cache.

    Raises:
        OSError: if it has less than `needed` bytes.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"the cache of {what} takes {needed:,} bytes, but {folder.parent} has only {free:,} free")


def write_columns(metadata: Metadata, columns: list[str], folder: Path) -> list[Path]:
    """Write vectors as float32 (rows, n) and frames as uint8 (rows, height, width, 3), and return the files.

    Crops of objects are uint8 (rows, O, 32, 32, 3), boxes float32 (rows, O, 4) and validity bool (rows, O).

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: if rows or values are wrong; the message names the file, and for a value the column, episode and
            timestep.
        OSError: if the disk has no space.
    """
    arrays = _create_files(metadata, columns, folder)
    rows = int(metadata.ends[-1])
    episode_of_row = np.repeat(np.arange(len(metadata.ends)), np.diff(metadata.ends, prepend=0))
    row = 0
    for path in metadata.data_files:
        for batch in read_batches(path, [*columns, "episode_index"], ROWS_AT_ONCE):
            if not np.array_equal(batch["episode_index"].to_numpy(), episode_of_row[row : row + len(batch)]):
                raise ValueError(f"{path} lacks rows of its episodes or has rows of others; copy the dataset again")
            for column, array in arrays.items():
                fill = _fill_frames if layout.is_image(column) else _fill_vectors
                fill(array, batch[column], row, f"{path}, column {column!r}", metadata.ends)
            row += len(batch)
    if row != rows:
        raise ValueError(f"{metadata.data_files[-1]} ends after {row} of {rows} rows; copy the dataset again")
    for array in arrays.values():
        array.flush()
    return [folder / f"{column}.npy" for column in columns]


def _create_files(metadata: Metadata, columns: list[str], folder: Path) -> dict[str, np.memmap]:
    rows = int(metadata.ends[-1])
    forms = {column: _form(column, metadata.spec) for column in columns}
    needed = rows * sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in forms.values())
    check_disk_space(folder, needed, ", ".join(columns))
    return {
        column: np.lib.format.open_memmap(folder / f"{column}.npy", "w+", kind, (rows, *shape))
        for column, (shape, kind) in forms.items()
    }


def _form(column: str, spec: TrajectorySpec) -> tuple[tuple[int, ...], type[np.generic]]:
    """Return shape and dtype of a column in one row."""
    if (found := object_column(column)) and spec.objects is not None:
        return (spec.objects.max_objects, *PART_SHAPES[found[1]]), PART_DTYPES[found[1]]
    if column in spec.images:
        return (*spec.images[column], 3), np.uint8
    return (spec.states.get(column, len(spec.actions)),), np.float32


def _fill_vectors(array: np.ndarray, values: pa.Array, row: int, where: str, ends: np.ndarray) -> None:
    size = int(np.prod(array.shape[1:]))
    vectors = check_values(values, size, where, lambda index: _place(row + index, ends))
    array[row : row + len(vectors)] = vectors.reshape(-1, *array.shape[1:])


def _fill_frames(array: np.ndarray, values: pa.StructArray, row: int, where: str, ends: np.ndarray) -> None:
    is_sheet = array.ndim == 5
    size = (array.shape[2], array.shape[1] * array.shape[3]) if is_sheet else (array.shape[1], array.shape[2])
    for index, data in enumerate(values.field("bytes").to_pylist(), start=row):
        try:
            frame = layout.decode_image(data or b"", size)
        except ValueError as error:
            raise ValueError(f"{where}, {_place(index, ends)}: {error}") from error
        array[index] = layout.split_crops(frame) if is_sheet else frame


def _place(row: int, ends: np.ndarray) -> str:
    episode = int(np.searchsorted(ends, row, side="right"))
    return f"episode {episode}, timestep {row - int(ends[episode - 1] if episode else 0)}"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _is_writable(root: Path) -> bool:
    try:
        root.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return True
    except OSError:
        return False
