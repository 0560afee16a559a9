"""The rows of a dataset being written: one row group per episode, many episodes per file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astra.datasets.lerobot import layout

FILES_PER_CHUNK = 1000
MEGABYTES_PER_FILE = 100


class DataFiles:
    """Writes `data/chunk-*/file-*.parquet`; a file that has grown to 100 MB is followed by a new one.

    Args:
        folder: The dataset being written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[Path] = []
        self._open_file: pq.ParquetWriter | None = None

    def append(self, table: pa.Table) -> tuple[int, int]:
        """Write one episode and return the chunk and file that took it."""
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
        """Finish the last file."""
        if self._open_file is not None:
            self._open_file.close()
            self._open_file = None

    def column(self, name: str) -> np.ndarray:
        """Read a column of all files back as vectors (rows, n)."""
        tables = [pq.ParquetFile(path).read([name]) for path in self._paths]
        return np.concatenate([layout.to_numpy(part) for table in tables for part in table[name].chunks])
