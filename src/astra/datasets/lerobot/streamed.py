"""Frames that are decoded while they are used, for datasets that are larger than the cache may be.

A training asks for the stretches of rows that its next windows need (`FrameStream.hold`): each is decoded by one
process, and kept until others are asked for. Rows outside of them, such as those of validation, are decoded when they
are read. Either way, pixels are the same as those of the cache.
"""

import weakref
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from astra.datasets.lerobot.frames import RecordedFrames
from astra.parallel.pool import Pool, pool
from astra.storage.numbers import Positive, Workers, check_numbers

Rows = tuple[int, int]
"""First row, and row after the last one."""


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    """When frames are decoded, and how much memory those take that are decoded while training."""

    decode: Literal["auto", "once", "streamed"] = "auto"
    """`once`: decode all frames before training, into the cache. `streamed`: decode them while training, in other
    processes, in an order of windows in which each frame is decoded once per epoch. auto: once, unless the cache's
    limit (ASTRA_CACHE_GB) or the disk has too little space for all frames."""
    gigabytes: Positive = 2.0
    """Memory for streamed frames, in GB; the more, the better windows are shuffled."""
    workers: Workers = 2
    """Number of processes that decode streamed frames."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "frames")


class FrameStream:
    """Decoder of the frames and crops of a dataset.

    Args:
        recorded: The frames as they were recorded.
        shapes: Shape of a row of each column, such as (96, 96, 3); frames of other sizes are resized to it.
        config: Memory and processes.
    """

    def __init__(self, recorded: RecordedFrames, shapes: Mapping[str, tuple[int, ...]], config: FrameConfig) -> None:
        self.shapes = dict(shapes)
        self.config = config
        self._recorded = recorded
        self._held: dict[Rows, dict[str, np.ndarray]] = {}
        self._ahead: dict[Rows, Future[dict[str, np.ndarray]]] = {}
        self._pool: Pool | None = None
        self._died: BrokenExecutor | None = None
        self._open = ExitStack()
        weakref.finalize(self, self._open.close)

    @property
    def columns(self) -> "dict[str, StreamedColumn]":
        """Columns that read from this stream."""
        return {column: StreamedColumn(self, column) for column in self.shapes}

    @property
    def num_rows(self) -> int:
        """Number of rows of each column."""
        return int(self._recorded.episode_ends[-1])

    @property
    def rows_in_memory(self) -> int:
        """Number of rows that may be decoded at the same time."""
        return max(2, round(self.config.gigabytes * 1e9) // sum(map(prod, self.shapes.values())))

    def hold(self, wanted: Sequence[Rows], next_wanted: Iterable[Rows] = ()) -> None:
        """Decode stretches of rows, keep them until the next call, and begin to decode those of later calls.

        Raises:
            FileNotFoundError: if a data file is missing.
            ValueError: if a frame is damaged.
            BrokenExecutor: if a worker has died before an earlier call.
        """
        if self._died is not None:
            raise self._died
        self._held = {rows: found for rows, found in self._held.items() if rows in wanted}
        try:
            for rows in dict.fromkeys((*wanted, *next_wanted)):
                if rows not in self._held and rows not in self._ahead:
                    self._ahead[rows] = self._workers().submit(decode, *rows)
            for rows in wanted:
                if rows in self._ahead:
                    self._held[rows] = self._ahead.pop(rows).result()
        except BrokenExecutor as died:  # perhaps by a signal to all processes, which a training meets after this update
            self._died = died
            for rows in wanted:
                if rows not in self._held:
                    self._held[rows] = decode(self._recorded, self.shapes, *rows)

    def read(self, column: str, rows: Int64[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
        """Return rows of a column, of those that are held or else decoded now."""
        flat = rows.reshape(-1)
        values = np.empty((len(flat), *self.shapes[column]), np.uint8)
        missing = np.ones(len(flat), dtype=bool)
        for (first, until), found in self._held.items():
            inside = (flat >= first) & (flat < until)
            values[inside] = found[column][flat[inside] - first]
            missing &= ~inside
        wanted, places = np.unique(flat[missing], return_inverse=True)
        if len(wanted):
            breaks = np.flatnonzero(np.diff(wanted) > 1) + 1
            stretches = np.split(wanted, breaks)
            parts = [
                self._recorded.read([column], int(part[0]), int(part[-1]) + 1, self.shapes)[column]
                for part in stretches
            ]
            values[missing] = np.concatenate(parts)[places]
        return values.reshape(*rows.shape, *self.shapes[column])

    def _workers(self) -> Pool:
        if self._pool is None:
            self._pool = self._open.enter_context(pool(self.config.workers, shared=(self._recorded, self.shapes)))
        return self._pool


@dataclass(frozen=True, eq=False)
class StreamedColumn:
    """A column of frames or crops that is read like a memory-mapped array, by rows or a slice of them."""

    stream: FrameStream
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole column."""
        return len(self), *self.stream.shapes[self.name]

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Type of the values."""
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes of the whole column."""
        return prod(self.shape)

    def __len__(self) -> int:
        """Count the rows."""
        return self.stream.num_rows

    def __getitem__(self, rows: Int64[np.ndarray, "..."] | slice) -> UInt8[np.ndarray, "..."]:
        """Return rows."""
        return self.stream.read(self.name, np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows)


def decode(
    recorded: RecordedFrames, shapes: Mapping[str, tuple[int, ...]], first: int, until: int
) -> dict[str, np.ndarray]:
    """Decode a stretch of rows of all columns, in a worker process."""
    return recorded.read(shapes, first, until, shapes)
