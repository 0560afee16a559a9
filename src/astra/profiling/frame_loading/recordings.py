"""Recordings made for benchmarks of loading: equal arguments write equal frames, states and actions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from astra.datasets import DatasetWriter, Episode

FPS = 30
CAMERAS = ("observation.images.front", "observation.images.wrist")


def write_recordings(
    folder: Path, *, size: tuple[int, int], cameras: int, episodes: int, length: int, video: bool
) -> Path:
    """Write a dataset with a state of 7 and actions of 7 dimensions, and return its folder.

    Args:
        folder: The new dataset.
        size: Height and width of the frames.
        cameras: Number of cameras, 1 or 2.
        episodes: Number of episodes.
        length: Timesteps of each.
        video: Whether cameras are stored as video (H.264), or as images.
    """
    with DatasetWriter(folder, fps=FPS, video=video) as writer:
        for number in range(episodes):
            random = np.random.default_rng(number)
            vectors = {name: random.normal(size=(length, 7)).astype(np.float32) for name in _VECTORS}
            frames = {camera: np.stack(list(_frames(random, length, size))) for camera in CAMERAS[:cameras]}
            writer.add(Episode(instruction="sort the blocks", columns={**vectors, **frames}, fps=FPS))
    return folder


_VECTORS = ("observation.state", "action")


def _frames(random: np.random.Generator, length: int, size: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Draw a grainy table from above, on which colored blocks move."""
    height, width = size
    light = np.linspace(90, 190, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    table = (light + random.normal(0, 4, (height, width, 3))).clip(0, 255).astype(np.uint8)
    side = max(2, height // 8)
    places = random.uniform(0, 1, (4, 2)) * (height - side, width - side)
    speeds = random.uniform(-0.02, 0.02, (4, 2)) * (height, width)
    colors = random.integers(0, 256, (4, 3))
    for _ in range(length):
        frame = table.copy()
        for (top, left), color in zip(places.astype(int), colors, strict=True):
            frame[top : top + side, left : left + side] = color
        places = (places + speeds) % (height - side, width - side)
        yield frame
