"""Some episodes of a dataset as a page shows them: frames side by side in one picture per camera, and curves."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from astra.analysis.inspection.findings import Finding, frames_lost
from astra.analysis.inspection.frames import findings_in
from astra.datasets import LeRobotDataset
from astra.datasets.episode import ACTION
from astra.frames import resize

EPISODES = 12
"""Number of episodes shown."""
FROM_FINDINGS = 6
"""Number of them that findings name, at most."""
FRAMES = 24
"""Number of frames of an episode, evenly spaced."""
CAMERAS = 4
SIDE = 160
"""Largest side of a shown frame in pixels."""
QUALITY = 75
LINES = 8
"""Number of dimensions drawn per column."""
POINTS = 150
"""Number of points of a curve."""
WIDTH, HEIGHT = 600, 90
"""Size of a drawing of curves."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Frames of a camera side by side."""

    camera: str
    picture: str
    """JPEG as a data URI; empty if a frame cannot be decoded."""
    width: int
    """Width of one frame."""
    height: int


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Values of a column over an episode, each dimension between its bounds in the dataset."""

    column: str
    lines: tuple[str, ...]
    """Points of each line in a drawing, as SVG has them."""
    left_out: int
    """Number of dimensions that are not drawn."""


@dataclass(frozen=True, kw_only=True)
class ShownEpisode:
    """One episode of a page."""

    index: int
    instruction: str
    timesteps: tuple[int, ...]
    """Timesteps of the frames."""
    length: int
    strips: tuple[Strip, ...]
    curves: tuple[Curves, ...]


def choose_episodes(dataset: LeRobotDataset, findings: Sequence[Finding]) -> tuple[int, ...]:
    """Return the episodes to show: some of those that findings name, and others evenly spaced."""
    named = list(dict.fromkeys(episode for finding in findings for episode in finding.episodes[:2]))[:FROM_FINDINGS]
    left = min(EPISODES, len(dataset)) - len(named)
    others = [episode for episode in range(len(dataset)) if episode not in named]
    even = [others[n] for n in np.linspace(0, len(others) - 1, left).round().astype(int)] if left > 0 else []
    return tuple(sorted({*named, *even}))


def show_episode(dataset: LeRobotDataset, index: int) -> tuple[ShownEpisode, list[Finding]]:
    """Decode the frames to show of an episode, and return it with what is wrong in them."""
    first, length = int(dataset.starts[index]), int(dataset.lengths[index])
    timesteps = tuple(np.unique(np.linspace(0, length - 1, min(FRAMES, length)).round().astype(int)).tolist())
    strips, findings = [], []
    for camera in list(dataset.spec.images)[:CAMERAS]:
        try:
            frames = [_frame(dataset, camera, first + timestep) for timestep in timesteps]
        except (ValueError, OSError) as error:
            findings.append(Finding(kind=frames_lost(camera), text=f"{error}", episodes=(index,), leave_out=(index,)))
            strips.append(Strip(camera=camera, picture="", width=SIDE, height=SIDE))
            continue
        findings += _of_frames(dataset, camera, index, frames)
        height, width = frames[0].shape[:2]
        strips.append(Strip(camera=camera, picture=_picture(frames), width=width, height=height))
    return (
        ShownEpisode(
            index=index,
            instruction=dataset.instructions[index],
            timesteps=timesteps,
            length=length,
            strips=tuple(strips),
            curves=tuple(_curves(dataset, column, index) for column in (ACTION, *list(dataset.spec.states)[:3])),
        ),
        findings,
    )


def _frame(dataset: LeRobotDataset, camera: str, row: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return one frame, no larger than a page shows it."""
    assert dataset.recorded is not None
    frame = torch.from_numpy(dataset.recorded.read([camera], row, row + 1)[camera]).permute(0, 3, 1, 2)
    height, width = dataset.spec.images[camera]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return resize(frame, size)[0].permute(1, 2, 0).contiguous().numpy()


def _of_frames(dataset: LeRobotDataset, camera: str, index: int, frames: Sequence[np.ndarray]) -> list[Finding]:
    blank = all(frame.min() == frame.max() for frame in frames)
    same = all(np.array_equal(frame, frames[0]) for frame in frames)
    return findings_in(dataset, camera, index, frames=len(frames), blank=blank, same=same)


def _picture(frames: Sequence[np.ndarray]) -> str:
    file = io.BytesIO()
    Image.fromarray(np.concatenate(frames, axis=1)).save(file, format="JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _curves(dataset: LeRobotDataset, column: str, index: int) -> Curves:
    values = dataset.columns[column]
    episode = np.asarray(values[dataset.starts[index] : dataset.ends[index]])[:, :LINES]
    low, high = values[:, :LINES].min(axis=0), values[:, :LINES].max(axis=0)
    share = (episode - low) / np.where(high > low, high - low, 1.0)
    return Curves(
        column=column,
        lines=tuple(_points(share[:, n]) for n in range(share.shape[1])),
        left_out=max(0, values.shape[1] - LINES),
    )


def _points(share: Float[np.ndarray, " T"]) -> str:
    chosen = np.unique(np.linspace(0, len(share) - 1, min(POINTS, len(share))).round().astype(int))
    x = chosen / max(1, len(share) - 1) * WIDTH
    y = 4 + (1 - share[chosen]) * (HEIGHT - 8)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
