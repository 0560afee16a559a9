"""Findings in the frames of cameras: covered lenses, and cameras that hung."""

import hashlib

import numpy as np

from astra.analysis.inspection.findings import Finding, together
from astra.datasets import LeRobotDataset
from astra.datasets.episode import ACTION

FEWEST = 3
"""Number of frames below which equal ones are no finding."""


def findings_in(
    dataset: LeRobotDataset, camera: str, index: int, *, frames: int, blank: bool, same: bool
) -> list[Finding]:
    """Return what is wrong in the frames of a camera in an episode.

    Args:
        dataset: The dataset.
        camera: Column of the camera.
        index: Number of the episode.
        frames: Number of frames that were looked at.
        blank: Whether each of them has one color.
        same: Whether all of them are equal.
    """
    if blank:
        text = f"all frames of {camera} that were looked at have one color (camera covered or switched off?)."
        return [Finding(kind=f"blank frames of {camera}", text=text, wrong=False, episodes=(index,))]
    actions = dataset.columns[ACTION][dataset.starts[index] : dataset.ends[index]]
    if same and frames >= FEWEST and np.ptp(actions, axis=0).any():
        text = f"all frames of {camera} that were looked at are equal, while the actions change (camera hung?)."
        kind = f"frames of {camera} that never change"
        return [Finding(kind=kind, text=text, episodes=(index,), leave_out=(index,))]
    return []


class EveryFrame:
    """Look at every frame of a dataset once; the frames of an episode may come in any order."""

    def __init__(self, dataset: LeRobotDataset) -> None:
        """Store the dataset, of which no frame was seen yet."""
        self.dataset = dataset
        self.first: dict[tuple[str, int], bytes] = {}
        self.changed: set[tuple[str, int]] = set()
        self.colored: set[tuple[str, int]] = set()

    def __call__(self, column: str, row: int, frame: np.ndarray) -> None:
        """Compare a frame with the first one of its episode."""
        if column not in self.dataset.spec.images:
            return
        episode = int(np.searchsorted(self.dataset.ends, row, side="right"))
        place = column, episode
        if place not in self.changed:
            content = hashlib.sha256(np.ascontiguousarray(frame).data).digest()
            if content != self.first.setdefault(place, content):
                self.changed.add(place)
        if place not in self.colored and frame.min() != frame.max():
            self.colored.add(place)

    def findings(self) -> list[Finding]:
        """Return what was found in all episodes, after every frame was seen."""
        return together(
            [
                finding
                for camera in self.dataset.spec.images
                for episode, length in enumerate(self.dataset.lengths.tolist())
                if length
                for finding in findings_in(
                    self.dataset,
                    camera,
                    episode,
                    frames=length,
                    blank=(camera, episode) not in self.colored,
                    same=(camera, episode) not in self.changed,
                )
            ]
        )
