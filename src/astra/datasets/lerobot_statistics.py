"""The statistics which LeRobot keeps beside the data, per feature: min, max, mean, std, count and quantiles."""

from typing import Any

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
FRAMES_PER_EPISODE = 16
PIXELS_PER_AXIS = 32


def summarise(values: np.ndarray) -> dict[str, Any]:
    """Summarise vectors (samples, n) per dimension, or sampled pixels (samples, 3) per channel.

    True counts as 1. Pixels are uint8; they are scaled to 0..1 and shaped (3, 1, 1), as LeRobot expects.
    """
    values = values.astype(np.float32) if values.dtype == np.bool_ else values
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    summary = {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0, dtype=np.float64),
        "std": values.std(axis=0, dtype=np.float64),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }
    if values.dtype == np.uint8:
        summary = {name: value.reshape(3, 1, 1) / 255.0 for name, value in summary.items()}
    return {**{name: value.tolist() for name, value in summary.items()}, "count": [len(values)]}


def sample_pixels(frames: np.ndarray) -> np.ndarray:
    """Take pixels (samples, 3) evenly over an episode's frames (T, height, width, 3): enough for statistics."""
    timesteps = np.unique(np.linspace(0, len(frames) - 1, FRAMES_PER_EPISODE).astype(int))
    rows = -(-frames.shape[1] // PIXELS_PER_AXIS)
    columns = -(-frames.shape[2] // PIXELS_PER_AXIS)
    return frames[timesteps, ::rows, ::columns].reshape(-1, 3)
