"""Merging of several datasets into one, such as parts collected on several days, or one without its bad episodes."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from astra.datasets.episode import ACTION, Episode
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.datasets.lerobot.info import Info, dimension_names, own_entries, read_info
from astra.datasets.lerobot.metadata import unnamed_dimensions
from astra.datasets.lerobot.video.column import Stretch
from astra.datasets.lerobot.video.index import FORMATS
from astra.datasets.lerobot.writer import DatasetWriter
from astra.datasets.sentences import read_sentences
from astra.datasets.spec_differences import spec_differences
from astra.storage.hub import local_folder
from astra.trajectory import ActionSpec, TrajectorySpec

WRITTEN = {
    *("codebase_version", "robot_type", "total_episodes", "total_frames", "total_tasks", "chunks_size", "fps"),
    *("data_files_size_in_mb", "video_files_size_in_mb", "splits", "data_path", "video_path", "features"),
    *("total_chunks", "total_videos", layout.OWN_KEY),
}
"""Entries of info.json that describe the episodes at hand, which the writer writes anew."""


def merge(
    sources: Sequence[Path],
    destination: Path,
    columns: Collection[str] | None = None,
    video: bool | None = None,
    workers: int | None = None,
    leave_out: Collection[int] = (),
) -> Iterator[Episode]:
    """Write the episodes of all sources, one source after the other, and yield each once it is written.

    If the sources recommend different action bins, those of the first are kept, and so is the suite of the first.
    Bounds of actions that no source declares are those of all data. The type of the robot, names of dimensions and
    unknown entries of info.json are kept.

    Args:
        sources: Datasets to merge, folders or ids of the Hugging Face Hub.
        destination: Folder of the new dataset.
        columns: Observations to keep, as for `LeRobotDataset.open`; None: all.
        video: Whether cameras are stored as video; None: as in the first source. Videos of the sources are copied, so
            that no frame changes; those in Matroska or AVI files are encoded again.
        workers: Number of processes that encode frames, as for `DatasetWriter`.
        leave_out: Numbers of episodes of the only source that are not written. A video file that also holds kept
            episodes is copied as a whole.

    Raises:
        FileExistsError: if the destination exists.
        ValueError: if there are no sources, or they do not have the same columns, names, actions, views, frame rate and
            type of robot; or if `leave_out` names an unknown episode or all of them, or there are several sources.
    """
    if not sources:
        raise ValueError("got no dataset to merge, expected at least one: name them before the options")
    sources = [local_folder(source) for source in sources]
    datasets = [LeRobotDataset.open(source, columns, decode=False) for source in sources]
    infos = [read_info(source) for source in sources]
    kept = _kept(sources, datasets, frozenset(leave_out))
    declared = [dataset.spec.actions for dataset, info in zip(datasets, infos, strict=True) if _declares_bounds(info)]
    first = datasets[0].spec
    for source, dataset, info in zip(sources, datasets, infos, strict=True):
        bounds = declared[0] if declared and not _declares_bounds(info) else None
        differing = [
            *_differences(dataset.spec, first, declared),
            *_different_names(info, infos[0], dataset.column_names),
        ]
        if differing:
            raise ValueError(
                f"{source} cannot be merged with {sources[0]}, because it has {'; '.join(differing)}. Columns can be "
                "left out with --observations"
            )
        if bounds is not None:
            _check_inside(source, dataset, bounds)
    if not declared and len({(dataset.spec.actions.low, dataset.spec.actions.high) for dataset in datasets}) > 1:
        warnings.warn(
            "no dataset declares the bounds of its actions, so those of the merged one are the bounds of all data",
            stacklevel=2,
        )
    _warn_of_columns(sources, infos, datasets)
    views = first.objects.views if first.objects else None
    if video is None:
        video = bool(datasets[0].recorded and datasets[0].recorded.videos)
    max_pictured = max(dataset.spec.objects.max_pictured if dataset.spec.objects else 0 for dataset in datasets)
    with DatasetWriter(
        destination,
        fps=first.fps,
        actions=replace(declared[0], bins=first.actions.bins) if declared else None,
        robot_type=_first(info.get("robot_type") for info in infos),
        views=views,
        max_pictured=max_pictured,
        suite=first.suite,
        features=_features(infos, datasets[0].column_names),
        more_info=_more_info(infos),
        video=video,
        workers=workers,
    ) as writer:
        for dataset, indices in zip(datasets, kept, strict=True):
            for index in indices:
                episode = dataset.episode(index)
                writer.add(episode, _copies(dataset, index) if video else {}, dataset.folder)
                yield episode
        if told := _sentences(datasets, kept):
            writer.tell(told)


def _kept(
    sources: Sequence[Path], datasets: Sequence[LeRobotDataset], leave_out: Collection[int]
) -> list[Sequence[int]]:
    """Return the episodes of each source that are written."""
    if leave_out and len(sources) > 1:
        raise ValueError(
            f"got episodes to leave out of {len(sources)} datasets, expected one dataset, whose episodes the numbers "
            "mean: write each one without them first, and merge the results"
        )
    if unknown := sorted(set(leave_out) - set(range(len(datasets[0])))):
        raise ValueError(
            f"{sources[0]} has no episode {unknown[0]} to leave out, it has {len(datasets[0])}, numbered from 0"
        )
    kept: list[Sequence[int]] = [
        [index for index in range(len(dataset)) if index not in leave_out] for dataset in datasets
    ]
    if not any(kept):
        raise ValueError(f"all {len(datasets[0])} episodes of {sources[0]} would be left out, expected one to keep")
    return kept


def _sentences(datasets: Sequence[LeRobotDataset], kept: Sequence[Sequence[int]]) -> Mapping[str, Sequence[str]]:
    """Return all sentences of each instruction that is written: a source without any for it says it as it is."""
    told: dict[str, dict[str, None]] = {}
    for dataset, indices in zip(datasets, kept, strict=True):
        sentences = read_sentences(dataset.folder, dataset.spec.instructions)
        for instruction in sorted({dataset.instructions[index] for index in indices}):
            told.setdefault(instruction, {}).update(dict.fromkeys(sentences.get(instruction, (instruction,))))
    return {instruction: list(found) for instruction, found in told.items() if list(found) != [instruction]}


def _copies(dataset: LeRobotDataset, index: int) -> Mapping[str, Stretch]:
    """Return the video files that hold an episode, by camera; files of another kind than `.mp4` cannot be copied."""
    videos = dataset.recorded.videos if dataset.recorded else {}
    first, until = int(dataset.starts[index]), int(dataset.ends[index])
    found = {column: video.stretch(first, until) for column, video in videos.items()}
    return {
        column: stretch
        for column, stretch in found.items()
        if stretch is not None and FORMATS.get(stretch.path.suffix.lower()) == FORMATS[".mp4"]
    }


def _declares_bounds(info: Info) -> bool:
    return "action_low" in own_entries(info)


def _differences(spec: TrajectorySpec, other: TrajectorySpec, declared: Sequence[ActionSpec]) -> list[str]:
    """Return in words what differs in two specs, apart from instructions, bins, suite and `max_pictured`.

    Bounds and kinds of actions count if both declare them, names of dimensions if both have some.
    """
    both = {id(actions) for actions in declared} >= {id(spec.actions), id(other.actions)}
    named = all(each.actions.names != unnamed_dimensions(len(each.actions)) for each in (spec, other))

    def compared(of: TrajectorySpec) -> TrajectorySpec:
        objects = None if of.objects is None else replace(of.objects, max_pictured=1)
        actions = replace(of.actions, bins=())
        if not both:
            N = len(actions)
            actions = ActionSpec(names=actions.names, low=(0.0,) * N, high=(1.0,) * N)
        if not named and len(spec.actions) == len(other.actions):
            actions = replace(actions, names=unnamed_dimensions(len(actions)))
        return replace(of, objects=objects, actions=actions)

    return spec_differences(compared(spec), compared(other))


def _different_names(info: Info, other: Info, columns: Collection[str]) -> list[str]:
    """Return in words what two descriptions both name, but differently: the type of the robot, and dimensions."""
    differing = []
    if None not in (types := (info.get("robot_type"), other.get("robot_type"))) and types[0] != types[1]:
        differing.append(f"the robot_type {types[0]}, not {types[1]}")
    for column in sorted({*columns} & info["features"].keys() & other["features"].keys() - {ACTION}):
        one, two = (dimension_names(of["features"][column]) for of in (info, other))
        if None not in (one, two) and one != two and info["features"][column]["dtype"] not in layout.FRAMES:
            differing.append(f"{column} with the dimensions {', '.join(one or ())}, not {', '.join(two or ())}")
    return differing


def _check_inside(source: Path, dataset: LeRobotDataset, bounds: ActionSpec) -> None:
    """Check that the actions of a source without declared bounds keep those that another source declares."""
    actions = dataset.columns[ACTION]
    outside = (actions.min(axis=0) < np.array(bounds.low, np.float32)) | (
        actions.max(axis=0) > np.array(bounds.high, np.float32)
    )
    if outside.any():
        index = int(outside.argmax())
        raise ValueError(
            f"{source} declares no bounds of its actions, and its {bounds.names[index]!r} goes from "
            f"{actions[:, index].min():.4g} to {actions[:, index].max():.4g}, outside the bounds "
            f"{bounds.low[index]:.4g} to {bounds.high[index]:.4g} that another source declares: remove those, or "
            "convert with wider ones"
        )


def _warn_of_columns(sources: Sequence[Path], infos: Sequence[Info], datasets: Sequence[LeRobotDataset]) -> None:
    for source, info, dataset in zip(sources, infos, datasets, strict=True):
        if lost := info["features"].keys() - set(dataset.column_names) - layout.INDEX_COLUMNS.keys():
            warnings.warn(f"{source}: the columns {', '.join(sorted(lost))} are left out", stacklevel=3)
            return


def _features(infos: Sequence[Info], columns: Collection[str]) -> Mapping[str, layout.Feature]:
    """Return the features of vectors by column, with names from the first source that has any."""
    features = {}
    for column in columns:
        known = [info["features"][column] for info in infos]
        if not layout.is_image(column) or all(feature["dtype"] == "video" for feature in known):
            features[column] = next((feature for feature in known if feature.get("names")), known[0])
    return features


def _more_info(infos: Sequence[Info]) -> Mapping[str, Any]:
    """Return the entries of info.json that the format does not know, from the first source that has each."""
    entries: dict[str, Any] = {}
    for info in infos:
        for name in info.keys() - WRITTEN:
            if entries.setdefault(name, info[name]) != info[name]:
                warnings.warn(f"the sources differ in {name!r} of {layout.INFO}; the first one is kept", stacklevel=3)
    return entries


def _first(values: Iterator[Any]) -> Any:
    return next((value for value in values if value is not None), None)
