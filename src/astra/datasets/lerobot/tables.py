"""Parquet tables of a dataset: read with errors that name the damaged file, and written without holding all rows."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astra.datasets.lerobot import layout
from astra.datasets.lerobot.info import COPY_AGAIN
from astra.storage.json_file import check_regular

FILES_PER_CHUNK = 1000
MEGABYTES_PER_FILE = 100
ROWS_PER_BATCH = 256
FRAMES_PER_BATCH = 64
"""Rows that are read at once if they hold images, so that large images do not fill the memory."""
LARGEST_TABLE = 2**28
"""Largest table of `meta/` that is read, in bytes when unpacked."""


def read_parquet(path: Path, columns: list[str] | None = None, optional: Sequence[str] = ()) -> pa.Table:
    """Read columns of a whole file.

    Args:
        path: The file.
        columns: Columns that it must have; None: all that it has.
        optional: Columns to read beside them if the file has them.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged, lacks a column, or holds more text than memory should.
    """
    with _opened(path, columns or []) as file:
        names = file.schema_arrow.names
        chosen = names if columns is None else [*columns, *(name for name in optional if name in names)]
        _check_text(path, file.metadata, chosen)
        return file.read(columns=chosen)


def read_batches(
    path: Path,
    columns: list[str],
    rows: int,
    optional: Sequence[str] = (),
    features: Mapping[str, layout.Feature] | None = None,
    described: Collection[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read columns of a file, `rows` rows at a time.

    Args:
        path: The file.
        columns: Columns that it must have.
        rows: Number of rows in a batch.
        optional: Columns to read beside them if the file has them.
        features: Columns whose types are checked, with their features; None: none.
        described: Columns that info.json describes, to find observations that it lost; None: not checked.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged, lacks a column, or a column is of another type than its feature says.
    """
    with _opened(path, list(dict.fromkeys([*columns, *(features or {})]))) as file:
        for column, feature in (features or {}).items():
            _check_type(path, file.schema_arrow.field(column), feature)
        names = file.schema_arrow.names
        lost = [name for name in names if name.startswith("observation.") and name not in (described or names)]
        if lost:
            raise ValueError(f"{path} has the column {', '.join(lost)}, which {layout.INFO} does not describe; add it")
        yield from file.iter_batches(rows, columns=[*columns, *(name for name in optional if name in names)])


def read_rows(path: Path, columns: list[str], first: int, until: int) -> Iterator[pa.RecordBatch]:
    """Read some rows of a file, without the row groups before and after them.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged or lacks a column.
    """
    with _opened(path, columns) as file:
        ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
        starts = np.append(0, ends[:-1])
        groups = np.flatnonzero((starts < until) & (ends > first))
        row = int(starts[groups[0]]) if len(groups) else until
        for batch in file.iter_batches(FRAMES_PER_BATCH, row_groups=groups.tolist(), columns=columns):
            low, high = max(first - row, 0), min(until - row, len(batch))
            row += len(batch)
            if low < high:
                yield batch.slice(low, high - low)


def count_rows(path: Path) -> int:
    """Count the rows of a file.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged.
    """
    with _opened(path, []) as file:
        return file.metadata.num_rows


def read_schema(path: Path) -> pa.Schema:
    """Read names and types of a file's columns.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged.
    """
    with _opened(path, []) as file:
        return file.schema_arrow


def _check_type(path: Path, field: pa.Field, feature: layout.Feature) -> None:
    kind: pa.DataType = field.type
    if feature["dtype"] == "image":
        fits = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        fits = fits and (
            pa.types.is_binary(kind.field("bytes").type) or pa.types.is_large_binary(kind.field("bytes").type)
        )
        expected = "images, struct<bytes: binary, path: string>"
    else:
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        fits = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        expected = "numbers or lists of numbers"
    if not fits:
        raise ValueError(
            f"{path}, column {field.name!r}: got the type {field.type}, but by its dtype {feature['dtype']!r} in "
            f"{layout.INFO} it holds {expected}"
        )


def _check_text(path: Path, metadata: pq.FileMetaData, columns: Collection[str]) -> None:
    size = 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            if chunk.path_in_schema.split(".")[0] in columns:
                size += chunk.total_uncompressed_size
    if size > LARGEST_TABLE:
        raise ValueError(f"{path} unpacks to {size:,} bytes, expected at most {LARGEST_TABLE:,}")


@contextmanager
def _opened(path: Path, columns: list[str]) -> Iterator[pq.ParquetFile]:
    check_regular(path, COPY_AGAIN)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            if missing := [column for column in columns if column not in names]:
                raise ValueError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(names)}")
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
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
        with pq.ParquetWriter(
            partial, pa.schema([source.schema_arrow.field(name) for name in kept]), write_page_checksum=True
        ) as file:
            for group in range(source.num_row_groups):
                file.write_table(source.read_row_group(group, columns=kept))
        partial.replace(self._path)

    def _write(self) -> None:
        table = pa.Table.from_pylist(self._waiting, self._schema)
        if self._file is None:
            self._schema = table.schema
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pq.ParquetWriter(
                self._path, table.schema, compression=self._compression, write_page_checksum=True
            )
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
            self._open_file = pq.ParquetWriter(self._paths[-1], table.schema, write_page_checksum=True)
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

    def column(self, name: str, size: int) -> np.ndarray:
        """Read a column of all files back as vectors (rows, size)."""
        tables = [pq.ParquetFile(path).read([name]) for path in self._paths]
        return np.concatenate([layout.to_numpy(part, size, name) for table in tables for part in table[name].chunks])
