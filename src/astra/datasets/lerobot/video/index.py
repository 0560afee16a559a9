"""Index of a video file: the times of its frames and its keyframes, read without decoding."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import Float64, Int64

from astra.datasets.lerobot.info import COPY_AGAIN
from astra.datasets.lerobot.video.checksums import check_video
from astra.storage.json_file import check_regular

FORMATS = {".mp4": "mov", ".mov": "mov", ".m4v": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi"}
"""Demuxer of each kind of file. Others are refused: playlists, for example, can name files elsewhere."""
INDICES_IN_MEMORY = 256
"""Number of indices that stay in memory: 16 bytes per frame, about 1.6 MB for LeRobot's files of 200 MB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoIndex:
    """Frames of a video file in the order in which they are shown."""

    times: Float64[np.ndarray, " frames"]
    """Time of each frame in seconds."""
    ticks: Int64[np.ndarray, " frames"]
    """The same in the time base of the file, rising."""
    keyframes: Int64[np.ndarray, " keyframes"]
    """Keyframes, by their places among the frames, rising; the first frame of a whole file is one."""
    seeks: Int64[np.ndarray, " keyframes"]
    """Decoding time of each keyframe, to which a file is sought."""

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.ticks)


@contextmanager
def opened_video(path: Path, size: tuple[int, int]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file and check its form; nothing is decoded yet.

    Args:
        path: The file.
        size: Height and width that its frames must have.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged, no video, of another size, or of an unknown kind; also if the caller's block
            meets an error of FFmpeg.
    """
    check_regular(path, f"a video of the dataset; {COPY_AGAIN}")
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} is no video that Astra reads, expected one of {', '.join(FORMATS)}: convert it")
    try:
        with av.open(f"file:{path.absolute()}", format=kind) as container:
            if not container.streams.video:
                raise ValueError(f"{path} holds no video stream; {COPY_AGAIN}")
            stream = container.streams.video[0]
            found = stream.codec_context.height, stream.codec_context.width
            if found != size:
                raise ValueError(
                    f"{path} has frames of {found[0]} x {found[1]} pixels, but info.json says {size[0]} x {size[1]}: "
                    "correct info.json, or copy the dataset again"
                )
            yield container, stream
    except (FFmpegError, UnicodeDecodeError, MemoryError) as error:
        reason = error.strerror if isinstance(error, FFmpegError) else error  # without the number
        raise ValueError(f"{path} is not a complete video (truncated?): {reason}; {COPY_AGAIN}") from error


def read_index(path: Path, size: tuple[int, int], expected: str | None = None) -> VideoIndex:
    """Return the index of a file; those read last stay in memory.

    Args:
        path: The file.
        size: Height and width of its frames.
        expected: Checksum that it must have; None: any.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged, no video, or of another size or checksum.
    """
    check_regular(path, f"a video of the dataset; {COPY_AGAIN}")
    facts = path.stat()
    return _read_index(path, size, expected, (facts.st_size, facts.st_mtime_ns, facts.st_ino))


@lru_cache(INDICES_IN_MEMORY)
def _read_index(path: Path, size: tuple[int, int], expected: str | None, state: tuple[int, ...]) -> VideoIndex:
    if expected is not None:
        check_video(path, expected)
    with opened_video(path, size) as (container, stream):
        packets = [
            (packet.pts, packet.dts if packet.dts is not None else packet.pts, packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size and not packet.is_discard
        ]
        base = stream.time_base
    ticks = np.array([pts for pts, _, _ in packets], dtype=np.int64)
    if base is None or not len(ticks) or len(np.unique(ticks)) < len(ticks):
        problem = "two frames of the same time" if len(ticks) else "no frames"
        raise ValueError(f"{path} has {problem}; {COPY_AGAIN}")
    order = np.argsort(ticks)
    is_key = np.array([packets[place][2] for place in order])
    decoded = np.array([packets[place][1] for place in order], dtype=np.int64)
    return VideoIndex(
        times=ticks[order] * float(base),
        ticks=ticks[order],
        keyframes=np.flatnonzero(is_key),
        seeks=decoded[is_key],
    )
