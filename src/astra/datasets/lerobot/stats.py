"""Statistics that LeRobot stores beside the data, per feature: min, max, mean, std, count and quantiles."""

from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
FRAMES_PER_EPISODE = 16
PIXELS_PER_AXIS = 32
LEVELS = np.arange(256)


def summarize(values: np.ndarray) -> dict[str, Any]:
    """Summarize vectors (samples, n) per dimension; True counts as 1."""
    values = values.astype(np.float32) if values.dtype == np.bool_ else values
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    summary = {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0, dtype=np.float64),
        "std": values.std(axis=0, dtype=np.float64),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }
    return {**{name: value.tolist() for name, value in summary.items()}, "count": [len(values)]}


def count_pixels(frames: UInt8[np.ndarray, "T height width 3"]) -> Int64[np.ndarray, "3 256"]:
    """Count how often each channel has each value, in pixels sampled evenly over an episode."""
    timesteps = np.unique(np.linspace(0, len(frames) - 1, FRAMES_PER_EPISODE).astype(int))
    rows = -(-frames.shape[1] // PIXELS_PER_AXIS)
    columns = -(-frames.shape[2] // PIXELS_PER_AXIS)
    pixels = frames[timesteps, ::rows, ::columns].reshape(-1, 3)
    return np.stack([np.bincount(channel, minlength=256) for channel in pixels.T])


def summarize_pixels(counts: Int64[np.ndarray, "3 256"]) -> dict[str, Any]:
    """Summarize counted pixels per channel, scaled to [0, 1] and shaped (3, 1, 1), as LeRobot expects."""
    number = int(counts[0].sum())
    below = counts.cumsum(axis=1)

    def ranked(rank: int) -> np.ndarray:
        return (below <= rank).sum(axis=1)

    def quantile(share: float) -> np.ndarray:
        place = share * (number - 1)
        low = ranked(int(place))
        return low + (place - int(place)) * (ranked(min(int(place) + 1, number - 1)) - low)

    mean = counts @ LEVELS / number
    summary = {
        "min": ranked(0),
        "max": ranked(number - 1),
        "mean": mean,
        "std": np.sqrt((counts * (LEVELS - mean[:, None]) ** 2).sum(axis=1) / number),
        **{name: quantile(share) for name, share in QUANTILES.items()},
    }
    return {**{name: (value.reshape(3, 1, 1) / 255).tolist() for name, value in summary.items()}, "count": [number]}
