"""Checks of the values of a dataset: its rows each time it is opened, its columns in the pass that fills the cache."""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, Int64

from astra.datasets.episode import ACTION
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.info import read_meta
from astra.datasets.lerobot.tables import read_batches

ROWS_AT_ONCE = 65536
RATE_TOLERANCE = 0.05
"""Largest difference between the frame rate of info.json and that of the timestamps, as a share."""
STATISTICS_TOLERANCE = 1e-3
"""Largest difference between stored and true bounds of a dimension, as a share of its range."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Bounds of the actions and times of all rows."""

    low: Float64[np.ndarray, " N"]
    """Minimum of each dimension of the actions."""
    high: Float64[np.ndarray, " N"]
    """Maximum of each dimension of the actions."""
    timestamps: Float64[np.ndarray, " rows"] | None
    """Time of each row in its episode, in seconds; None if it is not recorded."""


def check_values(
    values: pa.Array, size: int, where: str, place: Callable[[int], str]
) -> Float32[np.ndarray, "rows size"]:
    """Return a batch of vectors as float32, after checking type, length and value of each row.

    Args:
        values: Scalars, or lists of numbers.
        size: Number of values per row that info.json promises.
        where: File and column, for messages.
        place: Function from a row of the batch to the name of its episode and timestep, for messages.

    Raises:
        ValueError: if a row has another length, is no vector of numbers, or is NaN, infinite or missing.
    """
    vectors = layout.to_numpy(values, size, where).astype(np.float64, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = vectors.astype(np.float32)
    finite = np.isfinite(numbers).all(axis=1)
    if not finite.all():
        raise ValueError(f"{where}, {place(int(finite.argmin()))}: NaN or infinite value; repair the data")
    return numbers


def check_rows(
    files: Sequence[Path],
    lengths: Int64[np.ndarray, " episodes"],
    tasks: Int64[np.ndarray, " episodes"],
    fps: float,
    features: Mapping[str, layout.Feature],
    described: Collection[str],
) -> Rows:
    """Check order, instruction and time of all rows, and return the bounds of the actions and the times.

    Args:
        files: Data files in the order of the rows.
        lengths: Number of timesteps of each episode.
        tasks: Index of each episode's instruction.
        fps: Timesteps per second by info.json.
        features: Columns to read, with their features.
        described: All columns of info.json.

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: if a file lacks rows or a column, a row names another episode or instruction than the episodes, a
            column is of another type than info.json says, or the timestamps contradict the frame rate.
    """
    ends = np.cumsum(lengths)
    episodes = np.repeat(np.arange(len(lengths)), lengths)
    width = int(np.prod(features[ACTION]["shape"]))
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    times: list[np.ndarray] = []
    row = 0
    for path in files:
        batches = read_batches(
            path, ["episode_index", "task_index", ACTION], ROWS_AT_ONCE, ["timestamp"], features, described
        )
        for batch in filter(len, batches):
            until = row + len(batch)
            if not np.array_equal(_indices(batch, "episode_index", path), episodes[row:until]):
                raise ValueError(f"{path} lacks rows of its episodes or has rows of others; copy the dataset again")
            different = _indices(batch, "task_index", path) != tasks[episodes[row:until]]
            if different.any():
                episode = int(episodes[row + int(different.argmax())])
                raise ValueError(
                    f"{path}: the rows of episode {episode} name another instruction by their task_index than the "
                    "files of episodes and tasks in meta/ do; correct one of them"
                )
            actions = layout.to_numpy(batch[ACTION], width, f"{path}, column {ACTION!r}").astype(np.float64)
            finite = np.where(np.isfinite(actions), actions, np.nan)
            low, high = np.fmin(low, np.fmin.reduce(finite)), np.fmax(high, np.fmax.reduce(finite))
            if "timestamp" in batch.schema.names:
                seconds = layout.to_numpy(batch["timestamp"], 1, f"{path}, column 'timestamp'")
                times.append(seconds[:, 0].astype(np.float64))
            row = until
    if row != len(episodes):
        raise ValueError(f"{files[-1]} ends after {row} of {len(episodes)} rows; copy the dataset again")
    timestamps = np.concatenate(times) if sum(map(len, times)) == len(episodes) else None
    if timestamps is not None:
        check_times(timestamps, ends, fps)
    known = np.isfinite(low)
    return Rows(low=np.where(known, low, 0.0), high=np.where(known, high, 0.0), timestamps=timestamps)


def check_times(times: Float64[np.ndarray, " rows"], ends: Int64[np.ndarray, " episodes"], fps: float) -> None:
    """Check the timestamps against the frame rate.

    A few steps of another duration, such as dropped frames, trigger a warning.

    Raises:
        ValueError: if the usual step differs from 1 / fps.
    """
    inside = np.ones(len(times), dtype=bool)
    inside[np.concatenate([[0], ends[ends < len(times)]])] = False
    steps = np.diff(times, prepend=0.0)[inside]
    if not len(steps):
        return
    usual = float(np.median(steps))
    if not abs(usual * fps - 1) <= RATE_TOLERANCE:
        raise ValueError(
            f"{layout.INFO} says {fps:g} timesteps per second, so timestamps should be {1 / fps:.4g} s apart, but they "
            f"are {usual:.4g} s apart: correct fps or the timestamps, since a policy acts at the rate it was trained at"
        )
    if irregular := int((np.abs(steps * fps - 1) > 0.5).sum()):
        warnings.warn(
            f"{irregular:,} of {len(steps):,} timestamps do not follow the one before after {1 / fps:.4g} s (frames "
            "dropped in recording?); they are read as if they did",
            stacklevel=2,
        )


def warn_of_statistics(folder: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Warn once if stats.json has other bounds of vectors than the values; it is never used.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / layout.STATISTICS
    if not path.exists():
        return
    stored, stale = read_meta(path), []
    for column, values in columns.items():
        if values.ndim == 2 and values.dtype == np.float32 and isinstance(stored.get(column), dict):
            low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
            room = STATISTICS_TOLERANCE * np.maximum(high - low, 1e-3 * np.maximum(np.abs(low), np.abs(high)))
            entry = stored[column]
            if not (_is_near(entry.get("min"), low, room) and _is_near(entry.get("max"), high, room)):
                stale.append(column)
    if stale:
        warnings.warn(
            f"{path} has other bounds of {', '.join(stale)} than the data (edited since?); it is ignored, and "
            "statistics and bounds are computed from the data",
            stacklevel=2,
        )


def _is_near(stored: Any, true: np.ndarray, room: np.ndarray) -> bool:
    try:
        values = np.array(stored, dtype=np.float64).reshape(-1)
    except (ValueError, TypeError, OverflowError):
        return False
    return values.shape == true.shape and bool((np.abs(values - true) <= room).all())


def _indices(batch: pa.RecordBatch, column: str, path: Path) -> np.ndarray:
    values, where = batch[column], f"{path}, column {column!r}"
    if not pa.types.is_integer(values.type):
        raise ValueError(f"{where}: got values of type {values.type}, expected whole numbers; copy the dataset again")
    return layout.to_numpy(values, 1, where)[:, 0]
