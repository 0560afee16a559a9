"""Recordings of another format: which of their keys become which columns, and the episodes that result."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from astra.datasets.episode import ACTION, Episode, is_camera
from astra.datasets.lerobot.layout import decode_image


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Recordings of another format, opened; the mapping can be seen and changed before they are read."""

    source: str
    """Format and place, for messages."""
    columns: Mapping[str, str]
    """Column of each key that is read; keys of the same column are concatenated in this order."""
    dropped: Mapping[str, str]
    """Why each other key is not read."""
    total: int
    """Number of episodes."""
    read: Callable[[], Iterator[Episode]]
    """Function that reads them, one at a time."""


def choose_columns(
    known: Mapping[str, str | None], chosen: Mapping[str, str] | None, source: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the columns of the keys to read, and why the others are not read.

    Args:
        known: Default column of each key; None: it is not read.
        chosen: Columns that the user chose instead; None: the defaults.
        source: Format and place, for messages.

    Raises:
        ValueError: if a chosen key is unknown, a column has no valid name, or no key becomes the action.
    """
    columns = {key: column for key, column in known.items() if column} if chosen is None else dict(chosen)
    if unknown := [key for key in columns if key not in known]:
        raise ValueError(f"{source} has no {', '.join(unknown)}; it has {', '.join(known)}")
    if wrong := [name for name in columns.values() if name != ACTION and not name.startswith("observation.")]:
        raise ValueError(f"got the column {wrong[0]!r}, expected {ACTION} or a name that starts with observation.")
    if ACTION not in columns.values():
        raise ValueError(
            f"{source}: none of {', '.join(known)} is known to be the action: choose the columns by --columns, such as "
            f"--columns KEY {ACTION} KEY observation.state; keys of one column are concatenated"
        )
    reason = "not chosen" if chosen is not None else "not read by policies"
    return columns, {key: reason for key in known if key not in columns}


def warn_of_unread(known: Mapping[str, str | None], columns: Mapping[str, str], where: str) -> bool:
    """Warn if an episode has keys that would be read if the first episode had them too; return whether it has any.

    Args:
        known: Default column of each key of the episode; None: it is not read.
        columns: Column of each key that is read, found in the first episode.
        where: Source and episode, for the message.
    """
    unread = [key for key, column in known.items() if column and key not in columns]
    if unread:
        warnings.warn(
            f"{where} has {', '.join(unread)}, which the first episode lacks or holds in another form: left out in all "
            "episodes",
            stacklevel=2,
        )
    return bool(unread)


def stack_images(images: Iterable[bytes], where: str) -> UInt8[np.ndarray, "T height width 3"]:
    """Decode the packed images of a camera, one per timestep and all of the first one's size.

    Args:
        images: PNG, JPEG or other files.
        where: Source, episode and key, for messages.

    Raises:
        ValueError: if an image is damaged, or of another size or depth; the message names the timestep.
    """
    frames: list[np.ndarray] = []
    for timestep, data in enumerate(images):
        try:
            frames.append(decode_image(data, frames[0].shape[:2] if frames else None))
        except ValueError as error:
            raise ValueError(f"{where}, timestep {timestep}: {error}") from error
    return np.stack(frames) if frames else np.empty((0, 1, 1, 3), np.uint8)


def build_columns(arrays: Mapping[str, np.ndarray], columns: Mapping[str, str], where: str) -> dict[str, np.ndarray]:
    """Convert the arrays of an episode to its columns: cameras uint8 frames, everything else float32 vectors.

    Args:
        arrays: Arrays by key, first axis time.
        columns: Column of each key.
        where: Source and episode, for messages.

    Raises:
        ValueError: if lengths differ, or an array is neither frames nor numbers; the message names the key.
    """
    parts: dict[str, list[np.ndarray]] = {}
    timesteps = len(next(iter(arrays.values())))
    for key, column in columns.items():
        values = arrays[key]
        if len(values) != timesteps:
            raise ValueError(f"{where}, {key}: got {len(values)} timesteps, expected {timesteps} as in the first key")
        if is_camera(column):
            if values.dtype != np.uint8 or values.ndim != 4 or values.shape[3] != 3:
                raise ValueError(
                    f"{where}, {key}: got {values.dtype} of shape {values.shape}, expected uint8 frames (timesteps, "
                    "height, width, 3) for a camera"
                )
            parts.setdefault(column, []).append(values)
        elif not np.issubdtype(values.dtype, np.number) and values.dtype != np.bool_:
            raise ValueError(f"{where}, {key}: got values of type {values.dtype}, expected numbers")
        else:
            with np.errstate(over="ignore"):
                parts.setdefault(column, []).append(
                    values.reshape(timesteps, math.prod(values.shape[1:])).astype(np.float32)
                )
    if twice := [column for column, found in parts.items() if is_camera(column) and len(found) > 1]:
        raise ValueError(f"two keys become the camera {twice[0]}: choose another name for one of them")
    return {column: np.concatenate(found, axis=1) if len(found) > 1 else found[0] for column, found in parts.items()}
