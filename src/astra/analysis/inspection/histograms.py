"""Histograms of a dataset as outlines for SVG: actions by the policy's bins, states, and the lengths of episodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from astra.datasets import LeRobotDataset
from astra.datasets.episode import ACTION
from astra.datasets.lerobot.info import dimension_names, read_info
from astra.tokenizers.actions import DiscreteActions

DIMENSIONS = 48
"""Largest number of dimensions drawn of actions, and of states."""
BARS = 60
"""Number of bars where there are no bins."""
WIDTH, HEIGHT = 300, 80
"""Size of a drawing."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Numbers of values in bars of equal width."""

    title: str
    note: str
    outline: str
    """Outline of the bars, as SVG has it."""
    low: float
    """Left edge of the first bar."""
    high: float
    """Right edge of the last one."""


def action_histograms(dataset: LeRobotDataset, bins: DiscreteActions) -> list[Histogram]:
    """Count how many actions fall into each of the policy's bins, dimension by dimension."""
    chosen = bins.bins(torch.from_numpy(np.array(dataset.columns[ACTION]))).numpy()
    drawn = []
    for n, name in enumerate(bins.names[:DIMENSIONS]):
        counts = np.bincount(chosen[:, n], minlength=int(bins.counts[n]))
        note = f"{int((counts > 0).sum())} of {len(counts)} bins used, {counts.max() / counts.sum():.0%} in one"
        drawn.append(_histogram(name, note, counts, float(bins.low[n]), float(bins.high[n])))
    return drawn


def state_histograms(dataset: LeRobotDataset) -> list[Histogram]:
    """Count the values of all state vectors, dimension by dimension."""
    features = read_info(dataset.folder)["features"]
    named = [
        (f"{column.removeprefix('observation.')}[{name}]", dataset.columns[column][:, n])
        for column, size in dataset.spec.states.items()
        for n, name in enumerate(dimension_names(features[column]) or range(size))
    ]
    return [_of_values(name, values.astype(np.float64)) for name, values in named[:DIMENSIONS]]


def length_histogram(dataset: LeRobotDataset) -> Histogram:
    """Count the lengths of all episodes."""
    return _of_values("timesteps per episode", dataset.lengths.astype(np.float64))


def _of_values(title: str, values: Float[np.ndarray, " n"]) -> Histogram:
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        note = f"always {low:g}"
        low, high = low - max(1.0, abs(low)), high + max(1.0, abs(high))
    else:
        note = f"{low:.4g} to {high:.4g}, mean {values.mean():.4g}"
    return _histogram(title, note, np.histogram(values, BARS, (low, high))[0], low, high)


def _histogram(title: str, note: str, counts: Sequence[int] | np.ndarray, low: float, high: float) -> Histogram:
    heights = np.asarray(counts) / max(1, np.max(counts)) * (HEIGHT - 4)
    edges = np.linspace(0, WIDTH, len(heights) + 1)
    corners = [f"M0,{HEIGHT}"]
    for left, right, height in zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True):
        corners.append(f"L{left:.1f},{HEIGHT - height:.1f} {right:.1f},{HEIGHT - height:.1f}")
    return Histogram(title=title, note=note, outline=" ".join([*corners, f"L{WIDTH},{HEIGHT}Z"]), low=low, high=high)
