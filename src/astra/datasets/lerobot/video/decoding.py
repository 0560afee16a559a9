"""Decoding of chosen frames of a video file: in order, none twice apart from those after a keyframe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Int64, UInt8

from astra.datasets.lerobot.info import COPY_AGAIN
from astra.datasets.lerobot.video.index import VideoIndex, opened_video

FEWEST_SKIPPED = 16
"""Number of frames that must be skipped for a jump to the next keyframe to be cheaper than decoding them."""


def decode_frames(
    path: Path, index: VideoIndex, wanted: Int64[np.ndarray, " wanted"], size: tuple[int, int]
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode some frames of a file as RGB, as PyAV converts them; each may be a view of memory that PyAV owns.

    Args:
        path: The file.
        index: Its index.
        wanted: Places of the frames among those of the file, rising, none twice.
        size: Height and width of the frames.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file or a frame of it is damaged, of another size, or of more than 8 bits per channel.
    """
    with opened_video(path, size) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}
        frames, shown, reformatter = container.decode(stream), -1, VideoReformatter()
        for place in wanted.tolist():
            if (jump := _jump(index, shown, place)) is not None:
                container.seek(jump, stream=stream, backward=True)
                frames = container.decode(stream)
            frame = _find(frames, int(index.ticks[place]))
            if frame is None and jump is not None:  # the file jumps elsewhere than its index says
                frames = _from_start(container, stream)
                frame = _find(frames, int(index.ticks[place]))
            if frame is None:
                raise ValueError(f"{path}: frame {place} of {len(index)} cannot be decoded (damaged?); {COPY_AGAIN}")
            shown = place
            yield _pixels(frame, path, place, size, reformatter)


def _jump(index: VideoIndex, shown: int, place: int) -> int | None:
    """Return the decoding time of the keyframe to jump to before a frame is decoded; None to go on decoding."""
    before = int(np.searchsorted(index.keyframes, place, side="right")) - 1
    if before < 0 or index.keyframes[before] - shown <= FEWEST_SKIPPED:
        return None
    return int(index.seeks[before])


def _find(frames: Iterator[VideoFrame], ticks: int) -> VideoFrame | None:
    """Decode until the frame of a time; None if the file has gone past it or ends."""
    for frame in frames:
        if frame.pts is not None and frame.pts >= ticks:
            return frame if frame.pts == ticks else None
    return None


def _from_start(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    container.seek(0, stream=stream, backward=True, any_frame=False)
    return container.decode(stream)


def _pixels(
    frame: VideoFrame, path: Path, place: int, size: tuple[int, int], reformatter: VideoReformatter
) -> UInt8[np.ndarray, "height width 3"]:
    where = f"{path}: frame {place}"
    if frame.is_corrupt:
        raise ValueError(f"{where} is damaged; {COPY_AGAIN}")
    if (frame.height, frame.width) != size:
        raise ValueError(f"{where} has {frame.height} x {frame.width} pixels, expected {size[0]} x {size[1]}")
    if len(frame.format.components) == 1 and frame.format.components[0].bits > 8:
        raise ValueError(
            f"{where} has {frame.format.components[0].bits} bits of gray, such as a depth image: Astra reads colors; "
            "leave the column out, or convert it first, with a range of your choice scaled to 0 to 255"
        )
    plane: Any = reformatter.reformat(frame, format="rgb24").planes[
        0
    ]  # one reformatter for all frames keeps its tables
    return np.ndarray((*size, 3), np.uint8, plane, strides=(plane.line_size, 3, 1))
