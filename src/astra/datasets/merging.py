"""Merging of several datasets into one, such as demonstrations collected on several days or machines."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from astra.datasets.episode import Episode
from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.datasets.lerobot.writer import DatasetWriter
from astra.trajectory import TrajectorySpec


def merge(sources: Sequence[Path], destination: Path) -> Iterator[Episode]:
    """Write the episodes of all sources, one source after the other, and yield each once it is written.

    If the sources recommend different action bins, those of the first are kept, and so is the suite of the first.

    Raises:
        FileExistsError: if the destination exists.
        ValueError: if the sources do not have the same columns, actions, views and frame rate.
    """
    datasets = [LeRobotDataset.open(source) for source in sources]
    first = datasets[0].spec
    for source, dataset in zip(sources, datasets, strict=True):
        if differing := _differences(dataset.spec, first):
            raise ValueError(
                f"{source} and {sources[0]} differ in {', '.join(differing)}: merge only datasets of the same kind"
            )
    views = first.objects.views if first.objects else None
    max_pictured = max(dataset.spec.objects.max_pictured if dataset.spec.objects else 0 for dataset in datasets)
    with DatasetWriter(
        destination,
        fps=first.fps,
        actions=first.actions,
        views=views,
        max_pictured=max_pictured,
        suite=first.suite,
    ) as writer:
        for dataset in datasets:
            for index in range(len(dataset)):
                episode = dataset.episode(index)
                writer.add(episode)
                yield episode


def _differences(spec: TrajectorySpec, other: TrajectorySpec) -> list[str]:
    """Return the fields in which two specs differ, apart from instructions, bins, suite and `max_pictured`."""

    def compared(of: TrajectorySpec) -> TrajectorySpec:
        objects = None if of.objects is None else replace(of.objects, max_pictured=1)
        return replace(of, instructions=(), objects=objects, actions=replace(of.actions, bins=()), suite="")

    one, two = compared(spec), compared(other)
    return [name for name in vars(one) if getattr(one, name) != getattr(two, name)]
