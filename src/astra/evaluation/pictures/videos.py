"""Write the frames of an episode as a video, or as a film strip as in Figures 9 to 16 of the paper."""

import io
import math
import textwrap
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
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


def film_strip(frames: Sequence[Frame], num_frames: int = 10, title: str = "") -> Figure:
    """Draw `num_frames` frames at even intervals, each with its timestep, including the first and the last.

    Raises:
        ValueError: if there are no frames, or num_frames is below 1.
    """
    if not frames or num_frames < 1:
        raise ValueError(f"a film strip needs at least one frame, got num_frames={num_frames} of {len(frames)} frames")
    timesteps = np.unique(np.linspace(0, len(frames) - 1, num_frames).round().astype(int))
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
        axes.set_title(f"t = {timestep}", fontsize=8, color="#444444", y=-0.11 * width / height, pad=0)
    return figure
