"""Columns of a dataset's parquet files, checked and written as one .npy file each."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from astra.datasets.episode import object_column
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.metadata import Metadata
from astra.datasets.lerobot.parquet import read_batches
from astra.datasets.lerobot.png import decode_image
from astra.datasets.lerobot.prompts import DTYPES, ENDS
from astra.trajectory import TrajectorySpec

ROWS_AT_ONCE = 1024


def write_columns(metadata: Metadata, columns: list[str], folder: Path) -> list[Path]:
    """Write vectors as float32 (rows, n) and frames as uint8 (rows, height, width, 3), and return the files.

    Of objects, crops are uint8 (rows, O, 32, 32, 3), boxes float32 (rows, O, 4) and validity bool (rows, O).

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: naming the file, and where a value is to blame also the column, episode and timestep.
        OSError: if the disk has no room.
    """
    arrays = _create_files(metadata, columns, folder)
    rows = int(metadata.ends[-1])
    episode_of_row = np.repeat(np.arange(len(metadata.ends)), np.diff(metadata.ends, prepend=0))
    row = 0
    for path in metadata.data_files:
        for batch in read_batches(path, [*columns, "episode_index"], ROWS_AT_ONCE):
            if not np.array_equal(batch["episode_index"].to_numpy(), episode_of_row[row : row + len(batch)]):
                raise ValueError(f"{path} lacks rows of its episodes, or has others; copy the dataset again, whole")
            for column, array in arrays.items():
                fill = _fill_frames if layout.is_image(column) else _fill_vectors
                fill(array, batch[column], row, f"{path}, column {column!r}", metadata.ends)
            row += len(batch)
    if row != rows:
        raise ValueError(f"{metadata.data_files[-1]} ends after {row} of {rows} rows; copy the dataset again, whole")
    for array in arrays.values():
        array.flush()
    return [folder / f"{column}.npy" for column in columns]


def check_room(folder: Path, needed: int, what: str) -> None:
    """Check that the disk has room for a cache.

    Raises:
        OSError: if it has not.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"the cache of {what} takes {needed:,} bytes, but {folder.parent} has {free:,} left")


def _create_files(metadata: Metadata, columns: list[str], folder: Path) -> dict[str, np.memmap]:
    rows = int(metadata.ends[-1])
    forms = {column: _form(column, metadata.spec) for column in columns}
    needed = rows * sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in forms.values())
    check_room(folder, needed, ", ".join(columns))
    return {
        column: np.lib.format.open_memmap(folder / f"{column}.npy", "w+", kind, (rows, *shape))
        for column, (shape, kind) in forms.items()
    }


def _form(column: str, spec: TrajectorySpec) -> tuple[tuple[int, ...], type[np.generic]]:
    """Give shape and type of a column in one row."""
    if (found := object_column(column)) and spec.objects is not None:
        return (spec.objects.max_objects, *ENDS[found[1]]), DTYPES[found[1]]
    if column in spec.images:
        return (*spec.images[column], 3), np.uint8
    return (spec.states.get(column, len(spec.actions)),), np.float32


def _fill_vectors(array: np.ndarray, values: pa.Array, row: int, where: str, ends: np.ndarray) -> None:
    vectors = layout.to_numpy(values)
    size = int(np.prod(array.shape[1:]))
    if vectors.shape[1] != size:
        raise ValueError(f"{where}: got {vectors.shape[1]} values per row, but info.json says {size}")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(f"{where}, {_place(row + int(finite.argmin()), ends)}: NaN or infinite value; repair the data")
    array[row : row + len(vectors)] = vectors.reshape(-1, *array.shape[1:])


def _fill_frames(array: np.ndarray, values: pa.StructArray, row: int, where: str, ends: np.ndarray) -> None:
    for index, data in enumerate(values.field("bytes").to_pylist(), start=row):
        try:
            frame = decode_image(data or b"")
        except ValueError as error:
            raise ValueError(f"{where}, {_place(index, ends)}: {error}; copy the dataset again") from error
        is_sheet = array.ndim == 5
        expected = (array.shape[2], array.shape[1] * array.shape[3], 3) if is_sheet else array.shape[1:]
        if frame.shape != expected:
            raise ValueError(
                f"{where}, {_place(index, ends)}: got a frame of {frame.shape[:2]} pixels, but info.json says "
                f"{expected[:2]}"
            )
        array[index] = layout.crops_of(frame) if is_sheet else frame


def _place(row: int, ends: np.ndarray) -> str:
    episode = int(np.searchsorted(ends, row, side="right"))
    return f"episode {episode}, timestep {row - int(ends[episode - 1] if episode else 0)}"
