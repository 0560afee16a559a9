"""One demonstration in memory: a prompt and its columns. Writers take episodes, importers and datasets return them."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from astra.objects import CROP, Pictures, check_pictures

ACTION = "action"
"""Name of the action column, as in LeRobot."""

OBJECTS = "observation.objects"
"""Prefix of the columns of objects, `observation.objects.VIEW.PART`."""
PART_SHAPES = {"crops": (CROP, CROP, 3), "boxes": (4,), "valid": ()}
"""Columns of one view of objects, and their shapes per object."""
PART_DTYPES: dict[str, type[np.generic]] = {"crops": np.uint8, "boxes": np.float32, "valid": np.bool_}
PARTS = tuple(PART_SHAPES)

_OBJECT_COLUMN = re.compile(r"observation\.objects\.(\w+)\.(\w+)")


@dataclass(frozen=True, kw_only=True)
class Episode:
    """Demonstration of T timesteps."""

    instruction: str
    """Instruction that the demonstrator followed; empty if there was none."""
    columns: Mapping[str, np.ndarray]
    """Arrays by LeRobot's column names, first axis time: `action` and `observation.*` float32 vectors (T, n), cameras
    uint8 (T, height, width, 3). Objects have `observation.objects.VIEW.crops` uint8 (T, O, 32, 32, 3), `.boxes` float32
    (T, O, 4) and `.valid` bool (T, O)."""
    fps: float
    """Timesteps per second."""
    pictures: Pictures = field(default_factory=dict)
    """Pictures of the instruction's placeholders."""

    def __len__(self) -> int:
        """Count the timesteps, T."""
        return len(self.columns[ACTION])


def is_camera(column: str) -> bool:
    """Whether a column holds camera frames: `observation.image` or `observation.images.CAMERA`."""
    return column == "observation.image" or column.startswith("observation.images.")


def object_column(column: str) -> tuple[str, str] | None:
    """Return the view and the part of an object column, or None for other columns."""
    match = _OBJECT_COLUMN.fullmatch(column)
    return (match[1], match[2]) if match and match[2] in PARTS else None


def views_of(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the views of the object columns."""
    present = set(columns)
    views = tuple(dict.fromkeys(found[0] for column in columns if (found := object_column(column))))
    for view in views:
        if missing := [part for part in PARTS if f"{OBJECTS}.{view}.{part}" not in present]:
            raise ValueError(f"the objects of the view {view!r} lack the column {OBJECTS}.{view}.{missing[0]}")
    return views


def check_fps(fps: object) -> None:
    """Check a frame rate.

    Raises:
        ValueError: if it is not a positive, finite number.
    """
    if not isinstance(fps, int | float) or isinstance(fps, bool) or not 0 < fps < math.inf:
        raise ValueError(f"got fps {fps!r}, expected a positive number of timesteps per second")


def check_episode(episode: Episode, index: int, may_picture: bool = False) -> None:
    """Check that an episode can be stored and trained on.

    Args:
        episode: The demonstration.
        index: Index of the episode in the dataset, for the message.
        may_picture: Whether prompts of the dataset may have pictures; if not, braces in an instruction are text.

    Raises:
        ValueError: if the action is missing, a column is neither float32 vectors nor uint8 RGB frames nor objects,
            lengths differ, a value is NaN or infinite, or pictures do not match the placeholders of the instruction;
            the message names the episode and the column.
    """
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
    _check_objects(episode, index, may_picture)
    if len(episode) == 0:
        raise ValueError(f"episode {index} has no timesteps; leave it out")


def _check_objects(episode: Episode, index: int, may_picture: bool) -> None:
    try:
        views = views_of(episode.columns)
        if may_picture or episode.pictures:
            check_pictures(episode.instruction, episode.pictures)
    except ValueError as error:
        raise ValueError(f"episode {index}: {error}") from error
    numbers = {
        f"{view} {part}": episode.columns[f"{OBJECTS}.{view}.{part}"].shape[1] for view in views for part in PARTS
    }
    if len(set(numbers.values())) > 1:
        raise ValueError(f"episode {index}: all views need arrays of the same number of objects, got {numbers}")


def _check_form(column: str, values: np.ndarray, where: str) -> None:
    if found := object_column(column):
        tail, dtype = PART_SHAPES[found[1]], PART_DTYPES[found[1]]
        if values.dtype != dtype or values.ndim != 2 + len(tail) or values.shape[2:] != tail or values.shape[1] == 0:
            raise ValueError(
                f"{where}: got {values.dtype} of shape {values.shape}, expected {np.dtype(dtype)} of shape "
                f"(timesteps, objects{''.join(f', {size}' for size in tail)})"
            )
    elif is_camera(column):
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
