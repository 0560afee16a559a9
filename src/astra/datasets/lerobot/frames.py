"""Frames of a dataset: decoded from its data files, as they were recorded or resized for the cache."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import UInt8

from astra.datasets.episode import object_column
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.tables import FRAMES_PER_BATCH, count_rows, read_batches, read_rows
from astra.datasets.lerobot.video.column import VideoColumn
from astra.frames import resize
from astra.objects import CROP
from astra.progress import progress
from astra.trajectory import TrajectorySpec


def frame_sizes(spec: TrajectorySpec, columns: Collection[str]) -> dict[str, tuple[int, int]]:
    """Return the height and width of the stored images of each image column; crops lie side by side in one image."""
    sizes = {column: spec.images[column] for column in columns if column in spec.images}
    if spec.objects is not None:
        sheet = (CROP, CROP * spec.objects.max_objects)
        sizes |= {column: sheet for column in columns if (object_column(column) or ("", ""))[1] == "crops"}
    return sizes


def decode_frames(
    column: str, values: pa.StructArray, size: tuple[int, int], where: str, place: Callable[[int], str]
) -> Iterator[UInt8[np.ndarray, "..."]]:
    """Decode a batch of frames, (height, width, 3) each, or of crops, (O, 32, 32, 3) each.

    Args:
        column: Name of the column.
        values: Stored images.
        size: Height and width that each must have.
        where: File and column, for messages.
        place: Function from a row of the batch to the name of its episode and timestep, for messages.

    Raises:
        ValueError: if one is no image, or of another size or depth.
    """
    for row, data in enumerate(values.field("bytes").to_pylist()):
        try:
            frame = layout.decode_image(data or b"", size)
        except ValueError as error:
            raise ValueError(f"{where}, {place(row)}: {error}") from error
        yield layout.split_crops(frame) if object_column(column) else frame


def resize_frame(frame: UInt8[np.ndarray, "_ _ 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Return a frame of another height and width, resized as policies do."""
    if frame.shape[:2] == size:
        return frame
    pixels = torch.from_numpy(frame if frame.flags.writeable else frame.copy())
    return resize(pixels.permute(2, 0, 1)[None], size)[0].permute(1, 2, 0).numpy()


def _resized(
    frame: UInt8[np.ndarray, "..."], column: str, shapes: Mapping[str, tuple[int, ...]] | None
) -> UInt8[np.ndarray, "..."]:
    """Resize a frame; crops have one size and stay."""
    if shapes is None or frame.shape == shapes[column]:
        return frame
    height, width, _ = shapes[column]
    return resize_frame(frame, (height, width))


def place_of(row: int, ends: np.ndarray) -> str:
    """Return the episode and the timestep of a row, in words."""
    episode = int(np.searchsorted(ends, row, side="right"))
    return f"episode {episode}, timestep {row - int(ends[episode - 1] if episode else 0)}"


@dataclass(frozen=True, kw_only=True)
class RecordedFrames:
    """Frames and crops of a dataset as they were recorded, decoded when they are asked for."""

    files: tuple[Path, ...]
    """Data files in the order of the rows."""
    sizes: Mapping[str, tuple[int, int]]
    """Height and width of the stored images of each column."""
    episode_ends: np.ndarray
    """Row after the last one of each episode, the empty ones included."""
    videos: Mapping[str, VideoColumn] = field(default_factory=dict)
    """Those columns that are stored as video."""

    def read(
        self,
        columns: Collection[str],
        first: int,
        until: int,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, np.ndarray]:
        """Decode some rows of columns: frames uint8 (rows, height, width, 3), crops uint8 (rows, O, 32, 32, 3).

        Args:
            columns: Names of the columns.
            first: First row.
            until: Row after the last one.
            shapes: Shape of a row of each column, to which frames are resized one by one; None: as they were recorded.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a frame is damaged, or of another size or depth; the message names it.
        """
        stored = [column for column in columns if column not in self.videos]
        found: dict[str, list[np.ndarray]] = {column: [] for column in stored}
        for path, (start, end) in zip(self.files, self._rows, strict=True) if stored else ():
            low, high = max(first, start), min(until, end)
            row = low
            for batch in read_rows(path, stored, low - start, high - start) if low < high else ():
                for column in stored:
                    decoded = self._decoded(column, batch, path, row)
                    found[column] += [_resized(frame, column, shapes) for frame in decoded]
                row += len(batch)
        read = {column: np.stack(frames) for column, frames in found.items()}
        return {
            column: read[column] if column in read else self._read_video(column, first, until, shapes)
            for column in columns
        }

    def check(self, look: Callable[[str, int, np.ndarray], None] | None = None) -> None:
        """Decode every frame and crop once, and keep none of them.

        Args:
            look: Called with the column, the row and the frame or crops; None: nothing is done with them.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a frame is damaged, or of another size or depth; the message names it.
        """
        stored, rows = [column for column in self.sizes if column not in self.videos], int(self.episode_ends[-1])
        for video in self.videos.values():
            with progress(f"checking every frame of {video.column}", rows, "timesteps") as advance:
                for index, frame in video.read(0, rows):
                    if look is not None:
                        look(video.column, index, frame)
                    advance(1)
        row = 0
        with progress("checking every image", rows, "timesteps", shown=bool(stored)) as advance:
            for path in self.files if stored else ():
                for batch in read_batches(path, stored, FRAMES_PER_BATCH):
                    for column in stored:
                        for index, frame in enumerate(self._decoded(column, batch, path, row), row):
                            if look is not None:
                                look(column, index, frame)
                    row += len(batch)
                    advance(len(batch))

    def _read_video(
        self, column: str, first: int, until: int, shapes: Mapping[str, tuple[int, ...]] | None
    ) -> UInt8[np.ndarray, "rows _ _ 3"]:
        frames = np.empty((until - first, *(shapes[column] if shapes else (*self.sizes[column], 3))), np.uint8)
        for row, frame in self.videos[column].read(first, until):
            frames[row - first] = _resized(frame, column, shapes)
        return frames

    def _decoded(self, column: str, batch: pa.RecordBatch, path: Path, row: int) -> Iterator[UInt8[np.ndarray, "..."]]:
        """Decode a column of a batch whose first row is `row`."""

        def place(index: int) -> str:
            return place_of(row + index, self.episode_ends)

        return decode_frames(column, batch[column], self.sizes[column], f"{path}, column {column!r}", place)

    @cached_property
    def _rows(self) -> list[tuple[int, int]]:
        """Return the first row of each file, and the row after its last one."""
        ends = list(accumulate(map(count_rows, self.files)))
        return list(zip([0, *ends], ends, strict=False))
