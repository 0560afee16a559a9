"""One demonstration in memory: an instruction and its columns; what a writer takes and a reader gives."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

ACTION = "action"
"""The column of actions, named as LeRobot does."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One demonstration of T timesteps."""

    instruction: str
    """What the demonstrator was told."""
    columns: Mapping[str, np.ndarray]
    """By LeRobot's column names, first axis time: `action` and `observation.*` float32 vectors (T, n),
    cameras uint8 (T, height, width, 3)."""
    fps: float
    """Timesteps per second."""

    def __len__(self) -> int:
        """Count the timesteps, T."""
        return len(self.columns[ACTION])


def is_camera(column: str) -> bool:
    """Tell whether a column holds frames: `observation.image` or `observation.images.CAMERA`."""
    return column == "observation.image" or column.startswith("observation.images.")


def check_episode(episode: Episode, index: int) -> None:
    """Check that an episode can be stored and trained on.

    Args:
        episode: The demonstration.
        index: Its number in the data set, for the message.

    Raises:
        ValueError: naming the episode and the column, if an action is missing, a column is neither float32 vectors
            nor uint8 RGB frames, lengths differ, or a value is NaN or infinite.
    """
    if not episode.instruction.strip():
        raise ValueError(f"episode {index} has no instruction; every demonstration needs one")
    if ACTION not in episode.columns:
        raise ValueError(f"episode {index} has the columns {', '.join(episode.columns)}, but no {ACTION!r}")
    for column, values in episode.columns.items():
        where = f"episode {index}, column {column!r}"
        if column != ACTION and not column.startswith("observation."):
            raise ValueError(f"{where}: expected {ACTION!r} or a name that starts with 'observation.'")
        _check_form(column, values, where)
        if len(values) != len(episode):
            raise ValueError(f"{where}: got {len(values)} timesteps, but {ACTION!r} has {len(episode)}")
        _check_finite(values, where)
    if len(episode) == 0:
        raise ValueError(f"episode {index} has no timesteps; leave it out")


def _check_form(column: str, values: np.ndarray, where: str) -> None:
    if is_camera(column):
        if values.dtype != np.uint8 or values.ndim != 4 or values.shape[-1] != 3:
            raise ValueError(
                f"{where}: got {values.dtype} of shape {values.shape}, expected uint8 frames "
                "(timesteps, height, width, 3)"
            )
    elif values.dtype != np.float32 or values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(
            f"{where}: got {values.dtype} of shape {values.shape}, expected float32 vectors (timesteps, n)"
        )


def _check_finite(values: np.ndarray, where: str) -> None:
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        timestep = int(finite.argmin())
        raise ValueError(f"{where}: NaN or infinite value at timestep {timestep}; repair the episode or leave it out")
