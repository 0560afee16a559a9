"""Human-readable summary of a dataset."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from astra.datasets.episode import ACTION, OBJECTS
from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.datasets.lerobot.info import dimension_names, read_info

SHOWN, MOST = 20, 30
"""Number of instructions that are shown if there are many, and the number above which there are."""


def describe(dataset: LeRobotDataset) -> list[tuple[str, str]]:
    """Return the size, the instructions and each column's range, as rows of (name, value)."""
    lengths, fps = dataset.lengths, dataset.spec.fps
    info, videos = read_info(dataset.folder), dataset.recorded.videos if dataset.recorded else ()
    rows = [
        ("format", f"LeRobotDataset {info['codebase_version']}"),
        ("episodes", f"{len(dataset):,}"),
        ("timesteps", f"{lengths.sum():,} at {fps:g} per second: {lengths.sum() / fps / 60:.1f} minutes"),
        ("episode length", f"{lengths.min()} to {lengths.max()} timesteps, mean {lengths.mean():.1f}"),
    ]
    rows += _instructions(dataset.instructions)
    rows += [
        (column, f"{height} x {width} RGB frames, stored as {'video' if column in videos else 'images'}")
        for column, (height, width) in dataset.spec.images.items()
    ]
    if (objects := dataset.spec.objects) and objects.max_objects:
        rows += [
            (f"objects in view {view!r}", f"{_visible(dataset, view)}, {height} x {width} pixels")
            for view, (height, width) in objects.views.items()
        ]
    if dataset.prompts is not None:
        sizes = dataset.prompts.sizes
        rows += [("prompts with pictures", f"{len(sizes):,}, with {sizes.min()} to {sizes.max()} objects each")]
    for column in (*dataset.spec.states, ACTION):
        values = dataset.columns[column]
        names = dimension_names(info["features"][column]) or tuple(range(values.shape[1]))
        if column == ACTION:
            names = dataset.spec.actions.names
        rows += [
            (f"{column}[{name}]", f"{low:.4g} to {high:.4g}, mean {mean:.4g}, std {std:.4g}")
            for name, low, high, mean, std in zip(
                names,
                values.min(axis=0).tolist(),
                values.max(axis=0).tolist(),
                values.mean(axis=0, dtype=np.float64).tolist(),
                values.std(axis=0, dtype=np.float64).tolist(),
                strict=True,
            )
        ]
    bounds = zip(dataset.spec.actions.names, dataset.spec.actions.low, dataset.spec.actions.high, strict=True)
    rows += [(f"bounds of action {name!r}", f"{low:.4g} to {high:.4g}") for name, low, high in bounds]
    return rows


def _instructions(instructions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each instruction and its number of episodes, or the most frequent ones and the number of the others."""
    numbers = Counter(instructions)
    shown = sorted(numbers.items()) if len(numbers) <= MOST else sorted(numbers.most_common(SHOWN))
    for instruction, number in shown:
        yield f"instruction {instruction!r}", _episodes(number)
    if others := len(numbers) - len(shown):
        left = len(instructions) - sum(number for _, number in shown)
        yield f"{others:,} more instructions", _episodes(left)


def _episodes(number: int) -> str:
    return f"{number:,} episode{'s' if number > 1 else ''}"


def _visible(dataset: LeRobotDataset, view: str) -> str:
    """Describe the number of visible objects in a view."""
    number = dataset.columns[f"{OBJECTS}.{view}.valid"].sum(axis=1)
    return f"{number.min()} to {number.max()} visible, mean {number.mean():.1f}"
