"""Preparation of episodes for a dataset: the encoding of frames, in worker processes if wanted, and kept for a repeat.

A conversion keeps what is prepared in a hidden folder beside its destination, each episode under a key of its contents.
A repeat of a killed conversion reads its source again and takes from there what has been encoded before.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from astra.datasets.lerobot import layout
from astra.datasets.lerobot.stats import count_pixels, summarize, summarize_pixels
from astra.datasets.lerobot.video import encoding
from astra.parallel.pool import pool

FORMAT = 1
"""Version of what is kept, raised whenever equal episodes would be prepared differently."""
COLUMNS, SUMMARY = "columns.arrow", "summary.json"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An episode as it is appended to a dataset, apart from its place in it."""

    columns: pa.Table
    """Columns of the data file; images are packed."""
    videos: Mapping[str, bytes]
    """Video of each camera that is encoded."""
    summaries: Mapping[str, dict[str, Any]]
    """Statistics of each column."""
    pixels: Mapping[str, np.ndarray]
    """Number of pixels per channel and value, of each column of images."""


def prepare(stored: Mapping[str, np.ndarray], copied: Collection[str], videos: Collection[str], fps: float) -> Prepared:
    """Encode an episode.

    Args:
        stored: Its columns in their stored shape.
        copied: Cameras whose videos are taken over as they are.
        videos: Cameras that are stored as video, the copied ones included.
        fps: Timesteps per second.

    Raises:
        OSError: if a video cannot be encoded.
    """
    pixels = {column: count_pixels(values) for column, values in stored.items() if layout.is_image(column)}
    summaries = {
        column: summarize_pixels(pixels[column]) if column in pixels else summarize(values)
        for column, values in stored.items()
    }
    columns = {column: layout.to_arrow(column, values) for column, values in stored.items() if column not in videos}
    encoded = {column: encoding.encode(stored[column], fps) for column in videos if column not in copied}
    return Prepared(columns=pa.table(columns), videos=encoded, summaries=summaries, pixels=pixels)


class Preparations:
    """Prepared episodes in a folder, each made once, by workers.

    Args:
        folder: The folder, which is made, or goes on from an earlier attempt.
        workers: Number of processes; 1: this one.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self.workers = workers
        self._folder = folder
        self._open = ExitStack()

    def start(self) -> None:
        """Make the folder and start the workers.

        Raises:
            FileExistsError: if another process uses the folder.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder, os.O_RDONLY)
        self._open.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._open.close()
            raise FileExistsError(
                f"another process is converting to the same place and uses {self._folder}: wait for it, or choose "
                "another destination"
            ) from error
        for partial in self._folder.glob(".*"):
            shutil.rmtree(partial, ignore_errors=True)
        self._pool = self._open.enter_context(pool(self.workers)) if self.workers > 1 else None

    def submit(
        self, stored: Mapping[str, np.ndarray], copied: Collection[str], videos: Collection[str], fps: float
    ) -> Callable[[], Prepared]:
        """Begin to prepare an episode unless it is there; return a function that waits for it."""
        how = tuple(sorted(copied)), tuple(videos), fps
        place = self._folder / _key(stored, *how)
        if not place.exists() and self._pool is not None:
            done = self._pool.submit(prepare_into, place, dict(stored), *how)
            return lambda: (done.result(), _read(place))[1]

        def now() -> Prepared:
            try:
                return _read(place)
            except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):  # not there, or damaged
                shutil.rmtree(place, ignore_errors=True)
                prepare_into(place, stored, *how)
                return _read(place)

        return now

    def stop(self, *, finished: bool) -> None:
        """Stop the workers, and remove the folder if the dataset is finished or nothing was prepared."""
        if finished or not any(self._folder.iterdir()):
            shutil.rmtree(self._folder, ignore_errors=True)
        stopped = None if finished else InterruptedError("the conversion was stopped")  # workers do not end their work
        self._open.__exit__(stopped and InterruptedError, stopped, None)


def prepare_into(
    place: Path, stored: Mapping[str, np.ndarray], copied: Collection[str], videos: Collection[str], fps: float
) -> None:
    """Write a prepared episode as a folder, which appears when it is complete."""
    prepared = prepare(stored, copied, videos, fps)
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    partial.mkdir()
    with pa.OSFile(str(partial / COLUMNS), "wb") as file, pa.ipc.new_file(file, prepared.columns.schema) as writer:
        writer.write_table(prepared.columns)
    for number, content in enumerate(prepared.videos.values()):
        (partial / f"{number}.mp4").write_bytes(content)
    summary = {
        "videos": list(prepared.videos),
        "summaries": prepared.summaries,
        "pixels": {column: counts.tolist() for column, counts in prepared.pixels.items()},
    }
    (partial / SUMMARY).write_text(json.dumps(summary))
    try:
        partial.replace(place)
    except OSError:  # an equal episode was prepared meanwhile
        shutil.rmtree(partial)


def _read(place: Path) -> Prepared:
    summary = json.loads((place / SUMMARY).read_text())
    with pa.OSFile(str(place / COLUMNS), "rb") as file:
        columns = pa.ipc.open_file(file).read_all()
    return Prepared(
        columns=columns,
        videos={column: (place / f"{number}.mp4").read_bytes() for number, column in enumerate(summary["videos"])},
        summaries=summary["summaries"],
        pixels={column: np.array(counts, np.int64) for column, counts in summary["pixels"].items()},
    )


def _key(stored: Mapping[str, np.ndarray], copied: Collection[str], videos: Collection[str], fps: float) -> str:
    """Return a key of an episode and of how it is prepared."""
    digest = hashlib.sha256(json.dumps((FORMAT, copied, videos, fps, encoding.OPTIONS)).encode())
    for column, values in stored.items():
        kind = column, values.shape, values.dtype.str
        digest.update(json.dumps(kind).encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
