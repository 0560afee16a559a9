"""Small demonstrations with two instructions; all values differ."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from astra.datasets import Episode, LeRobotDataset

LENGTHS = (7, 1, 4, 12)


@pytest.fixture
def make_episode() -> "Callable[..., Episode]":
    """Build an episode of random columns: states of 3 and 1 dimensions, 2 action dimensions, optionally a camera."""
    from astra.datasets import Episode

    def make(seed: int, *, length: int = 5, camera: bool = False, instruction: str = "go left") -> "Episode":
        generator = np.random.default_rng(seed)
        columns: dict[str, np.ndarray] = {
            "observation.state": generator.standard_normal((length, 3), dtype=np.float32),
            "observation.gripper": generator.standard_normal((length, 1), dtype=np.float32),
            "action": generator.standard_normal((length, 2), dtype=np.float32),
        }
        if camera:
            columns["observation.image"] = generator.integers(0, 256, (length, 6, 9, 3), dtype=np.uint8)
        return Episode(instruction=instruction, columns=columns, fps=5.0)

    return make


@pytest.fixture
def episodes(make_episode: "Callable[..., Episode]") -> "list[Episode]":
    """Build four episodes of 7, 1, 4 and 12 timesteps with a camera; they go left and right in turn."""
    return [
        make_episode(index, length=length, camera=True, instruction=("go left", "go right")[index % 2])
        for index, length in enumerate(LENGTHS)
    ]


@pytest.fixture
def dataset_folder(tmp_path: Path, episodes: "list[Episode]") -> Path:
    """Write the four episodes."""
    from astra.datasets import DatasetWriter

    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        for episode in episodes:
            writer.add(episode)
    return tmp_path / "data"


@pytest.fixture
def dataset(dataset_folder: Path) -> "LeRobotDataset":
    """Open the four episodes."""
    from astra.datasets import LeRobotDataset

    return LeRobotDataset.open(dataset_folder)
