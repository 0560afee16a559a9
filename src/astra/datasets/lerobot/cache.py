"""Columns of the parquet files, checked once and kept as memory-mapped .npy files in the user's cache.

The key of the cache covers every file that is read, so a changed dataset gets a new one; see `fingerprint.py`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.progress import Progress

from astra.datasets.episode import PART_DTYPES, PART_SHAPES, PARTS, object_column
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.checks import check_values
from astra.datasets.lerobot.fingerprint import checksums, fingerprint
from astra.datasets.lerobot.metadata import Metadata
from astra.datasets.lerobot.prompts import StoredPrompts, fill_prompts
from astra.datasets.lerobot.tables import read_batches
from astra.screen import screen
from astra.storage.atomic import write_atomic
from astra.storage.cache_folder import use_entry
from astra.storage.cached_arrays import ArrayForm, cached_arrays
from astra.trajectory import TrajectorySpec

CACHE_FORMAT = 2
ROWS_AT_ONCE = 1024
SOURCES = "sources.json"
"""File of a cache entry with the SHA-256 of every file of the dataset, when it was read."""


@dataclass(frozen=True, kw_only=True)
class DatasetCache:
    """Cached arrays of one state of a dataset."""

    dataset: Path
    """Folder of the dataset."""
    data_files: tuple[Path, ...]
    """Its data files."""
    key: str
    """Key of its state."""

    @classmethod
    def of(cls, dataset: Path, data_files: Sequence[Path]) -> "DatasetCache":
        """Find the cache of a dataset as it is now."""
        key = fingerprint(dataset, data_files, CACHE_FORMAT)
        return cls(dataset=dataset, data_files=tuple(data_files), key=key)

    @property
    def folder(self) -> Path:
        """Folder of the cache, which need not exist yet."""
        return use_entry(self.key, self.dataset)

    def arrays(
        self, forms: Mapping[str, ArrayForm], fill: Callable[[Mapping[str, np.ndarray]], None]
    ) -> dict[str, np.ndarray]:
        """Return arrays as read-only memory maps; those that are missing are created and filled first.

        Raises:
            ValueError: if the dataset changes while it is read.
            OSError: if the limit of the cache or the disk leaves too little space.
        """

        def checked_fill(arrays: Mapping[str, np.ndarray]) -> None:
            fill(arrays)
            sources = self.folder / SOURCES
            if not sources.exists():
                write_atomic(sources, json.dumps(checksums(self.dataset, self.data_files)).encode())
            if fingerprint(self.dataset, self.data_files, CACHE_FORMAT) != self.key:
                raise ValueError(f"{self.dataset} was changed while it was read: wait until it is complete, try again")

        return cached_arrays(self.key, self.dataset, forms, checked_fill)


def cached_columns(cache: DatasetCache, metadata: Metadata) -> dict[str, np.ndarray]:
    """Return every column as a read-only memory map: vectors float32 (rows, n), frames uint8 (rows, height, width, 3).

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: if rows are missing, or a value is NaN, infinite or not an image; the message names the episode and
            the column.
        OSError: if the limit of the cache or the disk leaves too little space.
    """
    rows = int(metadata.ends[-1])
    forms = {column: _form(column, rows, metadata.spec) for column in metadata.columns}
    return cache.arrays(forms, lambda arrays: fill_columns(metadata, arrays))


def cached_prompts(cache: DatasetCache, metadata: Metadata) -> StoredPrompts | None:
    """Return the pictures of all prompts as read-only memory maps; None if there are none or no objects are wanted.

    Raises:
        FileNotFoundError: if the file of prompts is missing.
        ValueError: if a part of a prompt has the wrong length; the message names the prompt.
        OSError: if the limit of the cache or the disk leaves too little space.
    """
    if metadata.prompts is None or metadata.spec.objects is None:
        return None
    views, total = tuple(metadata.spec.objects.views), sum(map(len, metadata.pictured))
    names = {(view, part): f"prompts.{view}.{part}" for view in views for part in PARTS}
    forms = {name: ArrayForm((total, *PART_SHAPES[part]), PART_DTYPES[part]) for (_, part), name in names.items()}

    def fill(arrays: Mapping[str, np.ndarray]) -> None:
        missing = {key: arrays[name] for key, name in names.items() if name in arrays}
        fill_prompts(cache.dataset, metadata.pictured, missing)

    arrays = cache.arrays(forms, fill)
    by_view = {view: {part: arrays[names[view, part]] for part in PARTS} for view in views}
    return StoredPrompts.open(metadata.prompts, metadata.pictured, by_view)


def fill_columns(metadata: Metadata, arrays: Mapping[str, np.ndarray]) -> None:
    """Fill vectors as float32 (rows, n) and frames as uint8 (rows, height, width, 3).

    Crops of objects are uint8 (rows, O, 32, 32, 3), boxes float32 (rows, O, 4) and validity bool (rows, O).

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: if rows or values are wrong; the message names the file, and for a value the column, episode and
            timestep.
    """
    rows = int(metadata.ends[-1])
    episode_of_row = np.repeat(np.arange(len(metadata.ends)), np.diff(metadata.ends, prepend=0))
    row, console = 0, screen(stderr=True)
    quick = not any(map(layout.is_image, arrays)) or not console.is_terminal
    with Progress(console=console, transient=True, disable=quick) as progress:
        shown = progress.add_task("caching frames once", total=rows)
        for path in metadata.data_files:
            for batch in read_batches(path, [*arrays, "episode_index"], ROWS_AT_ONCE):
                if not np.array_equal(batch["episode_index"].to_numpy(), episode_of_row[row : row + len(batch)]):
                    raise ValueError(f"{path} lacks rows of its episodes or has rows of others; copy the dataset again")
                for column, array in arrays.items():
                    fill = _fill_frames if layout.is_image(column) else _fill_vectors
                    fill(array, batch[column], row, f"{path}, column {column!r}", metadata.ends)
                row += len(batch)
                progress.advance(shown, len(batch))
    if row != rows:
        raise ValueError(f"{metadata.data_files[-1]} ends after {row} of {rows} rows; copy the dataset again")


def _form(column: str, rows: int, spec: TrajectorySpec) -> ArrayForm:
    """Return the form of a column."""
    if (found := object_column(column)) and spec.objects is not None:
        return ArrayForm((rows, spec.objects.max_objects, *PART_SHAPES[found[1]]), PART_DTYPES[found[1]])
    if column in spec.images:
        return ArrayForm((rows, *spec.images[column], 3), np.uint8)
    return ArrayForm((rows, spec.states.get(column, len(spec.actions))), np.float32)


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
