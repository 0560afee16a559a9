"""A camera stored as video: one stretch of a video file per episode, and the frame of each timestep.

The frame of a timestep is the one whose time in the file is its timestamp, counted from where the stretch of its
episode begins, as LeRobot reads it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from astra.datasets.lerobot.video.decoding import decode_frames
from astra.datasets.lerobot.video.index import VideoIndex, read_index

TOLERANCE = 0.1
"""Largest difference between a timestep and its frame, as a share of the time between two timesteps."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Frames that follow each other at a constant rate in a video file."""

    path: Path
    """The file."""
    start: float
    """Time of the first of them in the file, in seconds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoColumn:
    """A camera stored as video."""

    column: str
    """Name of the column."""
    size: tuple[int, int]
    """Height and width of the frames."""
    fps: float
    """Timesteps per second."""
    files: tuple[Path, ...]
    """Its files."""
    file_of_episode: Int64[np.ndarray, " episodes"]
    """File of each episode, by its place in `files`; -1 for an episode without timesteps."""
    starts: Float64[np.ndarray, " episodes"]
    """Time in its file at which each episode begins, in seconds."""
    ends: Int64[np.ndarray, " episodes"]
    """Row after the last one of each episode."""
    timestamps: Float64[np.ndarray, " rows"] | None
    """Time of each row in its episode in seconds; None: the timesteps follow each other at `fps`."""
    checksums: Mapping[Path, str] = field(default_factory=dict)
    """SHA-256 of those files for which it is recorded."""

    def read(self, first: int, until: int) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
        """Decode some rows, file by file and in the order of their times in it, and yield each with its frame.

        Raises:
            FileNotFoundError: if a file is missing; the message names the first episode of it.
            ValueError: if a file is damaged, has another size or frame rate, or lacks the frame of a timestep; the
                message names the episode and the timestep.
        """
        rows = np.arange(first, until)
        files = self.file_of_episode[np.searchsorted(self.ends, rows, side="right")]
        order = np.argsort(files, kind="stable")
        parts = np.split(rows[order], np.flatnonzero(np.diff(files[order])) + 1)
        for part in sorted(filter(len, parts), key=lambda part: int(part[0])):
            yield from self._read_file(self.files[int(files[part[0] - first])], part)

    def check(self, first: int, until: int) -> None:
        """Check that some rows of an episode have their frames, by the times in the file; nothing is decoded.

        Raises:
            FileNotFoundError: if the file is missing.
            ValueError: if it is damaged, has another size or frame rate, or lacks the frame of a timestep.
        """
        rows = np.arange(first, until)
        path = self.files[int(self.file_of_episode[self._place(first)[0]])]
        self._places(path, self._index(path, first), rows)

    def stretch(self, first: int, until: int) -> Stretch | None:
        """Return where the frames of some rows of an episode lie; None if they do not follow each other at `fps`."""
        rows = np.arange(first, until)
        times = self._times(rows)
        if not (np.abs(times - times[0] - (rows - first) / self.fps) * self.fps <= TOLERANCE).all():
            return None
        episode, _ = self._place(first)
        return Stretch(path=self.files[int(self.file_of_episode[episode])], start=float(times[0]))

    def name(self, row: int) -> str:
        """Return column, episode and timestep of a row, for messages."""
        episode, timestep = self._place(row)
        return f"column {self.column!r}, episode {episode}, timestep {timestep}"

    def _read_file(self, path: Path, rows: Int64[np.ndarray, " rows"]) -> Iterator[tuple[int, np.ndarray]]:
        index = self._index(path, int(rows[0]))
        places = self._places(path, index, rows)
        order = np.argsort(places, kind="stable")
        wanted, counts = np.unique(places, return_counts=True)
        reached, frames = 0, decode_frames(path, index, wanted, self.size)
        for count in counts.tolist():
            try:
                frame = next(frames)
            except ValueError as error:
                raise ValueError(f"{self.name(int(rows[order[reached]]))}: {error}") from error
            for place in order[reached : reached + count]:
                yield int(rows[place]), frame
            reached += count

    def _index(self, path: Path, row: int) -> VideoIndex:
        """Read the index of the file of a row."""
        where = f"column {self.column!r}, episode {self._place(row)[0]}"
        try:
            return read_index(path, self.size, self.checksums.get(path))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{where}: {error}") from error
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def _places(self, path: Path, index: VideoIndex, rows: np.ndarray) -> Int64[np.ndarray, " rows"]:
        """Return the place of each row's frame among those of its file."""
        times = self._times(rows)
        places = np.searchsorted((index.times[1:] + index.times[:-1]) / 2, times)
        wrong = np.flatnonzero(~(np.abs(index.times[places] - times) * self.fps <= TOLERANCE))  # also NaN
        if len(wrong):
            row = int(rows[wrong[0]])
            raise ValueError(f"{path}, {self.name(row)}: {self._explain(index, float(times[wrong[0]]))}")
        return places

    def _explain(self, index: VideoIndex, time: float) -> str:
        """Explain why no frame has a time."""
        steps = np.diff(index.times)
        last, step = float(index.times[-1]), float(np.median(steps)) if len(steps) else 1 / self.fps
        if len(steps) and np.ptp(steps) * self.fps > TOLERANCE:
            return (
                f"the video has a variable frame rate, with frames {steps.min():.4g} to {steps.max():.4g} s apart, so "
                f"none is {time:.4g} s from its beginning: encode it again at {self.fps:g} frames per second"
            )
        if abs(step * self.fps - 1) > TOLERANCE:
            return (
                f"the video has {1 / step:.4g} frames per second, but info.json says {self.fps:g}: encode the video "
                "again, or correct fps and the timestamps"
            )
        if time > last:
            return (
                f"the video ends with the frame at {last:.4g} s, but one at {time:.4g} s is needed (truncated, or from "
                "another recording?); copy the dataset again"
            )
        return (
            f"no frame of the video is at {time:.4g} s; the nearest is {np.abs(index.times - time).min():.3g} s away, "
            f"of {1 / self.fps:.3g} s between two frames (timestamps or from_timestamp wrong?); record or convert again"
        )

    def _times(self, rows: np.ndarray) -> np.ndarray:
        """Return the time of each row in its file."""
        episodes = np.searchsorted(self.ends, rows, side="right")
        if self.timestamps is not None:
            return self.starts[episodes] + self.timestamps[rows]
        firsts = np.where(episodes > 0, self.ends[np.maximum(episodes - 1, 0)], 0)
        return self.starts[episodes] + (rows - firsts) / self.fps

    def _place(self, row: int) -> tuple[int, int]:
        episode = int(np.searchsorted(self.ends, row, side="right"))
        return episode, row - int(self.ends[episode - 1] if episode else 0)
