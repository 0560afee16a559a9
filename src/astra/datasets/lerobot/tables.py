"""Parquet tables of a dataset: read with errors that name the damaged file, and written without holding all rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astra.datasets.lerobot import layout

FILES_PER_CHUNK = 1000
MEGABYTES_PER_FILE = 100
ROWS_PER_BATCH = 256


def read_parquet(path: Path, columns: list[str]) -> pa.Table:
    """Read columns of a whole file.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is truncated or lacks a column.
    """
    with _opened(path, columns) as file:
        return file.read(columns=columns)


def read_batches(path: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Read columns of a file, `rows` rows at a time.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is truncated or lacks a column.
    """
    with _opened(path, columns) as file:
        yield from file.iter_batches(rows, columns=columns)


@contextmanager
def _opened(path: Path, columns: list[str]) -> Iterator[pq.ParquetFile]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; copy the whole dataset again")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [column for column in columns if column not in names]:
                raise ValueError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(names)}")
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a valid parquet file (truncated?): {error}; copy the dataset again") from error


class RowWriter:
    """Writer of one parquet file, row by row; only one batch of rows is in memory.

    Args:
        path: The file to write; it appears with the first batch.
        schema: Types of the columns; None takes those of the first batch.
        compression: Codec of the columns.
    """

    def __init__(self, path: Path, schema: pa.Schema | None = None, compression: str = "snappy") -> None:
        self._path = path
        self._schema = schema
        self._compression = compression
        self._waiting: list[dict[str, Any]] = []
        self._written = 0
        self._file: pq.ParquetWriter | None = None

    def __len__(self) -> int:
        """Count the rows."""
        return self._written + len(self._waiting)

    def add(self, row: dict[str, Any]) -> None:
        """Append a row; all rows have the same keys and types."""
        self._waiting.append(row)
        if len(self._waiting) == ROWS_PER_BATCH:
            self._write()

    def close(self) -> None:
        """Write the last rows and close the file."""
        if self._waiting:
            self._write()
        if self._file is not None:
            self._file.close()

    def drop_column(self, column: str) -> None:
        """Rewrite the closed file without a column."""
        source = pq.ParquetFile(self._path)
        kept = [name for name in source.schema_arrow.names if name != column]
        partial = self._path.with_name(f".{self._path.name}")
        with pq.ParquetWriter(partial, pa.schema([source.schema_arrow.field(name) for name in kept])) as file:
            for group in range(source.num_row_groups):
                file.write_table(source.read_row_group(group, columns=kept))
        partial.replace(self._path)

    def _write(self) -> None:
        table = pa.Table.from_pylist(self._waiting, self._schema)
        if self._file is None:
            self._schema = table.schema
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pq.ParquetWriter(self._path, table.schema, compression=self._compression)
        self._file.write_table(table)
        self._written += len(self._waiting)
        self._waiting = []


class DataFiles:
    """Writer of `data/chunk-*/file-*.parquet`: one row group per episode, a new file after every 100 MB.

    Args:
        folder: The dataset being written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[Path] = []
        self._open_file: pq.ParquetWriter | None = None

    def append(self, table: pa.Table) -> tuple[int, int]:
        """Write one episode and return the indices of the file chunk and of the file that hold it."""
        if self._open_file is None:
            chunk, file = divmod(len(self._paths), FILES_PER_CHUNK)
            self._paths.append(self._folder / layout.DATA.format(chunk_index=chunk, file_index=file))
            self._paths[-1].parent.mkdir(parents=True, exist_ok=True)
            self._open_file = pq.ParquetWriter(self._paths[-1], table.schema)
        self._open_file.write_table(table, row_group_size=len(table))
        place = divmod(len(self._paths) - 1, FILES_PER_CHUNK)
        if self._paths[-1].stat().st_size >= MEGABYTES_PER_FILE * 2**20:
            self.close()
        return place

    def close(self) -> None:
        """Close the last file."""
        if self._open_file is not None:
            self._open_file.close()
            self._open_file = None

    def column(self, name: str) -> np.ndarray:
        """Read a column of all files back as vectors (rows, n)."""
        tables = [pq.ParquetFile(path).read([name]) for path in self._paths]
        return np.concatenate([layout.to_numpy(part) for table in tables for part in table[name].chunks])
