"""Parquet files, read with errors that say which file is missing or damaged."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(path: Path, columns: list[str]) -> pa.Table:
    """Read columns of a file whole.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is truncated or lacks a column.
    """
    with _opened(path, columns) as file:
        return file.read(columns=columns)


def read_batches(path: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Read columns of a file, so many rows at a time.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is truncated or lacks a column.
    """
    with _opened(path, columns) as file:
        yield from file.iter_batches(rows, columns=columns)


@contextmanager
def _opened(path: Path, columns: list[str]) -> Iterator[pq.ParquetFile]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; copy the dataset again, whole")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [column for column in columns if column not in names]:
                raise ValueError(f"{path} has no column {', '.join(missing)}; it has {', '.join(names)}")
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a whole parquet file ({error}); copy the dataset again") from error
