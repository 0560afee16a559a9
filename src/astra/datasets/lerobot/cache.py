"""Columns of the parquet files, checked once and kept as memory-mapped .npy files in the user's cache.

The key of the cache covers every file that is read, so a changed dataset gets a new one; see `fingerprint.py`. Frames
lie at the size that a policy reads, which is part of their name.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from astra.datasets.episode import PART_DTYPES, PART_SHAPES, PARTS, object_column
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.checks import check_values
from astra.datasets.lerobot.fingerprint import checksums, fingerprint
from astra.datasets.lerobot.frames import decode_frames, frame_sizes, place_of, resize_frame
from astra.datasets.lerobot.metadata import Metadata
from astra.datasets.lerobot.prompts import StoredPrompts, fill_prompts
from astra.datasets.lerobot.tables import FRAMES_PER_BATCH, read_batches
from astra.datasets.lerobot.video.column import VideoColumn
from astra.frames import cached_size
from astra.parallel.allocator import keep_freed_memory
from astra.progress import progress
from astra.storage.atomic import write_atomic
from astra.storage.cache_folder import use_entry
from astra.storage.cached_arrays import ArrayForm, cached_arrays
from astra.trajectory import TrajectorySpec

CACHE_FORMAT = 3
ROWS_AT_ONCE = 1024
SOURCES = "sources.json"
"""File of a cache entry with the SHA-256 of every file of the dataset, when it was read."""


@dataclass(frozen=True, kw_only=True)
class DatasetCache:
    """Cached arrays of one state of a dataset."""

    dataset: Path
    """Folder of the dataset."""
    files: tuple[Path, ...]
    """Its data files and videos."""
    key: str
    """Key of its state."""

    @classmethod
    def of(cls, dataset: Path, files: Sequence[Path]) -> "DatasetCache":
        """Find the cache of a dataset as it is now."""
        key = fingerprint(dataset, files, CACHE_FORMAT)
        return cls(dataset=dataset, files=tuple(files), key=key)

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
                write_atomic(sources, json.dumps(checksums(self.dataset, self.files)).encode())
            if fingerprint(self.dataset, self.files, CACHE_FORMAT) != self.key:
                raise ValueError(f"{self.dataset} was changed while it was read: wait until it is complete, try again")

        return cached_arrays(self.key, self.dataset, forms, checked_fill)


def cached_columns(
    cache: DatasetCache, metadata: Metadata, frame_size: tuple[int, int] | None = None, decode: bool = True
) -> dict[str, np.ndarray]:
    """Return columns as read-only memory maps: vectors float32 (rows, n), frames uint8 (rows, height, width, 3).

    Args:
        cache: The cache.
        metadata: What the columns hold.
        frame_size: Height and width to which larger frames are resized; None: frames stay as they were recorded.
        decode: Whether frames and crops are cached too.

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: if rows are missing, or a value is NaN, infinite or not an image; the message names the episode and
            the column.
        CacheFullError: if the limit of the cache or the disk leaves too little space.
    """
    rows = int(metadata.ends[-1])
    names = {
        column: _name(column, metadata.spec, frame_size)
        for column in metadata.columns
        if decode or not layout.is_image(column)
    }
    forms = {names[column]: _form(column, rows, metadata.spec, frame_size) for column in names}

    def fill(arrays: Mapping[str, np.ndarray]) -> None:
        missing = {column: arrays[name] for column, name in names.items() if name in arrays}
        if stored := {column: array for column, array in missing.items() if column not in metadata.videos}:
            fill_columns(metadata, stored)
        fill_videos({metadata.videos[column]: array for column, array in missing.items() if column not in stored})

    arrays = cache.arrays(forms, fill)
    return {column: arrays[name] for column, name in names.items()}


def frame_shapes(metadata: Metadata, frame_size: tuple[int, int] | None = None) -> dict[str, tuple[int, ...]]:
    """Return the shape of a row of each column of frames or crops, as it is cached."""
    columns = filter(layout.is_image, metadata.columns)
    return {column: _form(column, 1, metadata.spec, frame_size).shape[1:] for column in columns}


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
    """Fill vectors as float32 (rows, n) and frames as uint8 (rows, height, width, 3), resized to their array.

    Crops of objects are uint8 (rows, O, 32, 32, 3), boxes float32 (rows, O, 4) and validity bool (rows, O).

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: if rows or values are wrong; the message names the file, and for a value the column, episode and
            timestep.
    """
    rows = int(metadata.ends[-1])
    episode_of_row = np.repeat(np.arange(len(metadata.ends)), np.diff(metadata.ends, prepend=0))
    row, has_frames = 0, any(map(layout.is_image, arrays))
    with progress("caching frames once", rows, "timesteps", shown=has_frames) as advance:
        for path in metadata.data_files:
            rows_at_once = FRAMES_PER_BATCH if has_frames else ROWS_AT_ONCE
            for batch in read_batches(path, [*arrays, "episode_index"], rows_at_once):
                if not np.array_equal(batch["episode_index"].to_numpy(), episode_of_row[row : row + len(batch)]):
                    raise ValueError(f"{path} lacks rows of its episodes or has rows of others; copy the dataset again")

                def place(index: int, row: int = row) -> str:
                    return place_of(row + index, metadata.ends)

                for column, array in arrays.items():
                    target = array[row : row + len(batch)]
                    _fill(column, target, batch[column], metadata.spec, f"{path}, column {column!r}", place)
                row += len(batch)
                advance(len(batch))
    if row != rows:
        raise ValueError(f"{metadata.data_files[-1]} ends after {row} of {rows} rows; copy the dataset again")


def fill_videos(arrays: Mapping[VideoColumn, np.ndarray]) -> None:
    """Decode every frame of videos once, in order, and fill their arrays with the frames in the arrays' size.

    Raises:
        FileNotFoundError: if a video is missing.
        ValueError: if a video is damaged, or lacks the frame of a timestep; the message names the file, the column,
            the episode and the timestep.
    """
    keep_freed_memory()
    for video, array in arrays.items():
        with progress(f"decoding {video.column} once", len(array), "frames") as advance:
            for row, frame in video.read(0, len(array)):
                array[row] = resize_frame(frame, array.shape[1:3])
                advance(1)


def _fill(
    column: str,
    target: np.ndarray,
    values: pa.Array,
    spec: TrajectorySpec,
    where: str,
    place: Callable[[int], str],
) -> None:
    """Fill the rows of a column that a batch holds."""
    if size := frame_sizes(spec, [column]).get(column):
        for index, frame in enumerate(decode_frames(column, values, size, where, place)):
            target[index] = resize_frame(frame, target.shape[1:3]) if column in spec.images else frame
    else:
        vectors = check_values(values, math.prod(target.shape[1:]), where, place)
        target[...] = vectors.reshape(target.shape)


def _name(column: str, spec: TrajectorySpec, frame_size: tuple[int, int] | None) -> str:
    """Return the name of a column in the cache; a slash, which no column has, precedes the size of resized frames."""
    recorded = spec.images.get(column)
    if recorded is None or (size := cached_size(recorded, frame_size)) == recorded:
        return column
    return f"{column}/{size[0]}x{size[1]}"


def _form(column: str, rows: int, spec: TrajectorySpec, frame_size: tuple[int, int] | None) -> ArrayForm:
    """Return the form of a column."""
    if (found := object_column(column)) and spec.objects is not None:
        return ArrayForm((rows, spec.objects.max_objects, *PART_SHAPES[found[1]]), PART_DTYPES[found[1]])
    if column in spec.images:
        return ArrayForm((rows, *cached_size(spec.images[column], frame_size), 3), np.uint8)
    return ArrayForm((rows, spec.states.get(column, len(spec.actions))), np.float32)
