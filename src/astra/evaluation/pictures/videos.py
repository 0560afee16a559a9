"""Write the frames of an episode as a video, or as a film strip as in Figures 9 to 16 of the paper."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import cast

import av
import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from astra.evaluation.pictures.style import plain
from astra.storage.atomic import write_atomic

Frame = UInt8[np.ndarray, "_ _ 3"]

CODECS = ("libx264", "libopenh264", "mpeg4")
"""Video codecs in order of preference. Not every browser plays the last."""
FRAMES_PER_ROW = 5
"""Frames per row of a film strip."""


def write_video(frames: Sequence[Frame], path: Path, fps: float) -> Path:
    """Write frames as an mp4 and return its path. Odd sizes are padded by one pixel.

    Raises:
        ValueError: if there are no frames.
    """
    if not frames:
        raise ValueError(f"the video {path} needs at least one frame, got none; was the episode recorded?")
    height, width = frames[0].shape[:2]
    codec = next(name for name in CODECS if name in av.codecs_available)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000)))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"  # half the resolution for color, hence even sizes
        stream.options = {"crf": "20"} if codec == "libx264" else {}
        stream.thread_count = 1
        for frame in frames:
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return write_atomic(path, file.getvalue())


def read_video(path: Path) -> list[Frame]:
    """Return all frames of a video.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def film_strip(
    frames: Sequence[Frame], num_frames: int = 10, title: str = "", done: Mapping[str, int] = MappingProxyType({})
) -> Figure:
    """Draw `num_frames` frames, each with its timestep, including the first and the last.

    Args:
        frames: Frames of an episode, the first at timestep 0.
        num_frames: Number of frames to show.
        title: Title, such as the instruction.
        done: Timestep at which each part of the task was done, which is shown with its name (more than `num_frames`
            frames if need be); the others lie at even intervals.

    Raises:
        ValueError: if there are no frames, or num_frames is below 1.
    """
    if not frames or num_frames < 1:
        raise ValueError(f"a film strip needs at least one frame, got num_frames={num_frames} of {len(frames)} frames")
    timesteps = _timesteps(len(frames), num_frames, {timestep for timestep in done.values() if timestep < len(frames)})
    columns = min(len(timesteps), FRAMES_PER_ROW)
    rows = math.ceil(len(timesteps) / columns)
    height, width = frames[0].shape[:2]
    side = 1.9
    lines = textwrap.wrap(title, round(14 * side * columns))  # 14 characters per inch
    height_of_frames = (side * height / width + 0.28) * rows
    size = side * columns, height_of_frames + (0.1 + 0.2 * len(lines) if lines else 0)
    figure = Figure(figsize=size, dpi=150)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    if lines:
        figure.suptitle(plain("\n".join(lines)), fontsize=10)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, timestep in zip(grid.flat, timesteps, strict=False):
        axes.imshow(frames[timestep], interpolation="antialiased")
        names = [name for name, when in done.items() if when == timestep]
        label = plain(", ".join([f"t = {timestep}", *names]))
        axes.set_title(label, fontsize=8, color="#444444", y=-0.11 * width / height, pad=0)
    return figure


def _timesteps(total: int, number: int, wanted: set[int]) -> list[int]:
    """Return the timesteps of a film strip: the wanted ones, and of even ones those that are farthest from them."""
    even = np.unique(np.linspace(0, total - 1, number).round().astype(int)).tolist()
    chosen = {even[0], even[-1], *wanted} if wanted else set(even)
    while len(chosen) < min(number, total) and (left := [timestep for timestep in even if timestep not in chosen]):
        chosen.add(max(left, key=lambda timestep: min(abs(timestep - other) for other in chosen)))
    return sorted(chosen)
