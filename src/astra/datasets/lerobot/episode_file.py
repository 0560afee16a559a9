"""The rows of episodes in a dataset being written; a batch of them is in memory at a time."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astra.datasets.lerobot import layout

ROWS_AT_ONCE = 256


class EpisodeFile:
    """Writes `meta/episodes/chunk-000/file-000.parquet`, one row per episode.

    Args:
        folder: The dataset being written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / layout.EPISODES
        self._waiting: list[dict[str, Any]] = []
        self._written = 0
        self._file: pq.ParquetWriter | None = None

    def __len__(self) -> int:
        """Count the episodes."""
        return self._written + len(self._waiting)

    def add(self, row: dict[str, Any]) -> None:
        """Append the row of an episode; all rows have the same keys and types."""
        self._waiting.append(row)
        if len(self._waiting) == ROWS_AT_ONCE:
            self._write()

    def close(self) -> None:
        """Finish the file."""
        if self._waiting:
            self._write()
        if self._file is not None:
            self._file.close()

    def drop(self, column: str) -> None:
        """Write the finished file anew without a column."""
        source = pq.ParquetFile(self._path)
        kept = [name for name in source.schema_arrow.names if name != column]
        partial = self._path.with_name(f".{self._path.name}")
        with pq.ParquetWriter(partial, pa.schema([source.schema_arrow.field(name) for name in kept])) as file:
            for group in range(source.num_row_groups):
                file.write_table(source.read_row_group(group, columns=kept))
        partial.replace(self._path)

    def _write(self) -> None:
        table = pa.Table.from_pylist(self._waiting, self._file.schema if self._file else None)
        if self._file is None:
            self._path.parent.mkdir(parents=True)
            self._file = pq.ParquetWriter(self._path, table.schema)
        self._file.write_table(table)
        self._written += len(self._waiting)
        self._waiting = []
