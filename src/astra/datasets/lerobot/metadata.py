"""Metadata of a LeRobotDataset, v3.0 or v2.x, read from `meta/` and checked."""

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from astra.datasets.episode import ACTION, OBJECTS, PARTS, is_camera, object_column, views_of
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.checks import Rows, check_rows
from astra.datasets.lerobot.episodes import Episodes, read_episodes, read_tasks
from astra.datasets.lerobot.info import (
    Info,
    NamesWarning,
    check_readable,
    dimension_names,
    height_width,
    is_version_2,
    own_entries,
    read_info,
)
from astra.datasets.lerobot.prompts import read_placeholders
from astra.datasets.lerobot.version_2.lines import TASKS, read_episode_lines, read_task_lines
from astra.datasets.lerobot.video.checksums import read_video_checksums
from astra.datasets.lerobot.video.column import VideoColumn
from astra.objects import ObjectSpec, placeholders
from astra.trajectory import ActionSpec, Modality, TrajectorySpec

WIDENING = 0.01
"""Margin of bounds that are taken from the data, as a share of the data's range."""
LONGEST_EPISODE = 10**9
"""Largest number of timesteps of an episode."""
LONGEST_INSTRUCTION = 10_000
"""Largest number of characters of an instruction."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Checked contents of `meta/`."""

    columns: tuple[str, ...]
    """Columns to read, `action` among them."""
    ends: Int64[np.ndarray, " episodes"]
    """Row after the last one of each episode; some episodes may be empty."""
    instructions: tuple[str, ...]
    """Instruction of each episode."""
    prompts: Int64[np.ndarray, " episodes"] | None
    """Index of each episode's prompt with pictures, -1 for none; None if the dataset has no pictures."""
    pictured: tuple[tuple[str, ...], ...]
    """Placeholder of each pictured object, by prompt."""
    data_files: tuple[Path, ...]
    """Data files in the order of the rows."""
    videos: Mapping[str, VideoColumn]
    """Columns to read that are stored as video."""
    spec: TrajectorySpec
    """Contents of the trajectories."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Data files and videos."""
        return (*self.data_files, *(path for video in self.videos.values() for path in video.files))


def read_metadata(folder: Path, columns: Collection[str] | None, reads: Collection[Modality] | None = None) -> Metadata:
    """Read and check `meta/`, and order, instruction and time of all rows.

    Args:
        folder: The dataset.
        columns: Columns to read, `observation.objects.VIEW` for the three of a view; None: `action` and every
            `observation.*`.
        reads: Modalities to read beside state vectors: images, objects or both; None: both.

    Raises:
        FileNotFoundError: if the folder or a file of `meta/` is missing.
        ValueError: if a file is damaged, has another version, or contradicts another file.
    """
    info = read_info(folder)
    wanted = _choose(folder, info["features"], columns)
    features = _read(folder, wanted, reads)
    videos = [column for column, feature in features.items() if feature["dtype"] == "video"]
    if is_version_2(info):
        episodes, tasks = read_episode_lines(folder, info, videos), read_task_lines(folder)
    else:
        episodes, tasks = read_episodes(folder, info, videos), read_tasks(folder)
    _check_lengths(folder, info, episodes)
    instructions, numbers = _instructions(folder, info, episodes, tasks)
    prompts, pictured = None, ()
    if _may_picture(folder, info, episodes):
        prompts, pictured = _prompts(folder, episodes, instructions)
    real = np.flatnonzero(episodes.lengths).tolist()
    files = tuple(folder / path for path in dict.fromkeys(episodes.data_files[i] for i in real))
    in_files = {column: feature for column, feature in features.items() if column not in videos}
    try:
        rows = check_rows(files, episodes.lengths, numbers, float(info["fps"]), in_files, info["features"])
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    plain = {column: feature for column, feature in features.items() if not object_column(column)}
    images = {column: height_width(feature) for column, feature in plain.items() if feature["dtype"] in layout.FRAMES}
    spec = TrajectorySpec(
        states={c: math.prod(f["shape"]) for c, f in plain.items() if c != ACTION and c not in images},
        images=images,
        actions=_action_spec(folder, info, rows),
        objects=_object_spec(folder, info, views_of(wanted), features, max(map(len, pictured), default=0)),
        instructions=tuple(sorted({instructions[i] for i in real})),
        fps=float(info["fps"]),
        suite=own_entries(info).get("suite", ""),
    )
    ends = np.cumsum(episodes.lengths, dtype=np.int64)
    return Metadata(
        columns=tuple(features),
        ends=ends,
        instructions=instructions,
        prompts=prompts,
        pictured=pictured,
        data_files=files,
        videos={
            column: _video_column(folder, column, episodes, images[column], float(info["fps"]), rows.timestamps)
            for column in videos
        },
        spec=spec,
    )


def _video_column(
    folder: Path,
    column: str,
    episodes: Episodes,
    size: tuple[int, int],
    fps: float,
    timestamps: Float64[np.ndarray, " rows"] | None,
) -> VideoColumn:
    real = np.flatnonzero(episodes.lengths)  # messages number the episodes as the opened dataset does
    names = [episodes.videos[column].files[index] for index in real.tolist()]
    files = list(dict.fromkeys(names))
    places, recorded = {name: place for place, name in enumerate(files)}, read_video_checksums(folder)
    return VideoColumn(
        column=column,
        size=size,
        fps=fps,
        files=tuple(folder / name for name in files),
        file_of_episode=np.array([places[name] for name in names], dtype=np.int64),
        starts=episodes.videos[column].starts[real],
        ends=np.cumsum(episodes.lengths[real], dtype=np.int64),
        timestamps=timestamps,
        checksums={folder / name: recorded[name] for name in files if name in recorded},
    )


def _choose(
    folder: Path, features: dict[str, layout.Feature], columns: Collection[str] | None
) -> dict[str, layout.Feature]:
    known = [column for column in features if column == ACTION or column.startswith("observation.")]
    wanted = known if columns is None else [part for column in columns for part in _parts(column)]
    if unknown := [column for column in dict.fromkeys((*wanted, ACTION)) if column not in known]:
        others = [column for column in features if column not in {*known, *layout.INDEX_COLUMNS}]
        advice = f"; {', '.join(others)} are not read: see --rename of astra convert lerobot --help" if others else ""
        has = f"; it has {', '.join(known)}" if known else ""
        raise ValueError(f"{folder} has no column {', '.join(unknown)}{has}{advice}")
    return {column: features[column] for column in known if column in wanted or column == ACTION}


def _read(
    folder: Path, wanted: dict[str, layout.Feature], reads: Collection[Modality] | None
) -> dict[str, layout.Feature]:
    kinds = ("vectors", "images", "objects") if reads is None else ("vectors", *reads)
    features = {column: feature for column, feature in wanted.items() if _modality(column, feature) in kinds}
    check_readable(folder, features)
    return features


def _modality(column: str, feature: layout.Feature) -> Modality:
    if object_column(column):
        return "objects"
    return "images" if is_camera(column) or feature["dtype"] in layout.FRAMES else "vectors"


def _parts(column: str) -> list[str]:
    """Return the columns of a view of objects, `observation.objects.VIEW`, or any other column as it is."""
    is_view = column.startswith(f"{OBJECTS}.") and object_column(column) is None
    return [f"{column}.{part}" for part in PARTS] if is_view else [column]


def _prompts(
    folder: Path, episodes: Episodes, instructions: tuple[str, ...]
) -> tuple[Int64[np.ndarray, " episodes"] | None, tuple[tuple[str, ...], ...]]:
    """Return each episode's prompt with pictures, and by prompt the placeholder of each object."""
    wanted = {index for index, instruction in enumerate(instructions) if placeholders(instruction)}
    if not wanted:
        return None, ()
    if episodes.prompts is None:
        raise ValueError(
            f"{folder}: the instruction {instructions[min(wanted)]!r} has placeholders, but the episodes have no "
            f"{layout.PROMPT_INDEX} in {layout.EPISODES}, so their pictures cannot be found; write the dataset again"
        )
    names = read_placeholders(folder)
    for index, (prompt, instruction) in enumerate(zip(episodes.prompts.tolist(), instructions, strict=True)):
        if index not in wanted and prompt == -1:
            continue
        found = tuple(dict.fromkeys(names[prompt])) if 0 <= prompt < len(names) else None
        if found != placeholders(instruction):
            raise ValueError(
                f"{folder / layout.PROMPTS}: the instruction of episode {index}, {instruction!r}, needs pictures for "
                f"{', '.join(placeholders(instruction)) or 'nothing'}, but prompt {prompt} of {len(names)} has "
                f"{', '.join(found or ()) or 'none'}; copy the whole dataset again"
            )
    return episodes.prompts, tuple(map(tuple, names))


def _object_spec(
    folder: Path,
    info: Info,
    wanted: tuple[str, ...],
    features: dict[str, layout.Feature],
    max_pictured: int,
) -> ObjectSpec | None:
    """Describe the objects of the wanted views, or of all views if only prompts show objects."""
    own = own_entries(info)
    sizes, max_pictured = own.get("views", {}), max(max_pictured, own.get("max_pictured", 0))
    shown = views_of(features)
    views = shown or ((wanted or tuple(sizes)) if max_pictured else ())
    if not views:
        return None
    if missing := [view for view in views if view not in sizes]:
        raise ValueError(
            f"{folder / layout.INFO} lacks the size of the view {missing[0]!r} of objects under "
            f"{layout.OWN_KEY!r}, {'views'!r}; copy the dataset again"
        )
    numbers = {int(features[f"{OBJECTS}.{view}.valid"]["shape"][0]) for view in shown}
    return ObjectSpec(
        views={view: (int(sizes[view][0]), int(sizes[view][1])) for view in views},
        max_objects=max(numbers, default=0),
        max_pictured=max_pictured,
    )


def _check_lengths(folder: Path, info: Info, episodes: Episodes) -> None:
    lengths, number = episodes.lengths, len(episodes.lengths)
    if not np.array_equal(episodes.indices, np.arange(number)) or number != info["total_episodes"]:
        raise ValueError(
            f"{folder}: {layout.INFO} says {info['total_episodes']} episodes, but {episodes.source} and its "
            f"siblings have {number}; copy the whole dataset again"
        )
    ends = np.cumsum(lengths)
    gaps = episodes.first_rows is not None and not np.array_equal(episodes.first_rows, ends - lengths)
    if number and (gaps or ends[-1] != info["total_frames"]):
        raise ValueError(
            f"{folder}: the episodes' lengths add up to {ends[-1]} rows, but {layout.INFO} says "
            f"{info['total_frames']}, or they leave gaps; copy the whole dataset again"
        )
    if not lengths.any():
        raise ValueError(f"{folder} has {number} episodes and no timesteps; record it again")
    if lengths.max() > LONGEST_EPISODE:
        raise ValueError(
            f"{folder}: episode {lengths.argmax()} has {lengths.max():,} timesteps, expected at most "
            f"{LONGEST_EPISODE:,}"
        )


def _instructions(
    folder: Path, info: Info, episodes: Episodes, indices: Mapping[str, int]
) -> tuple[tuple[str, ...], Int64[np.ndarray, " episodes"]]:
    """Return the instruction of each episode and its index in the table of instructions."""
    source = TASKS if is_version_2(info) else layout.TASKS
    if len(indices) != info["total_tasks"]:
        raise ValueError(
            f"{folder}: {source} has {len(indices)} instructions, but {layout.INFO} says {info['total_tasks']}; "
            "copy the whole dataset again"
        )
    for index, instructions in enumerate(episodes.tasks):
        if len(instructions) != 1:
            raise ValueError(f"{folder}: episode {index} has the instructions {instructions}, expected exactly one")
        if instructions[0] not in indices:
            raise ValueError(
                f"{folder}: {episodes.source} says that the instruction of episode {index} is "
                f"{_shortened(instructions[0])}, which {source} does not have; correct one of them"
            )
        if len(instructions[0]) > LONGEST_INSTRUCTION:
            raise ValueError(
                f"{folder}: the instruction of episode {index}, {_shortened(instructions[0])}, has "
                f"{len(instructions[0]):,} characters, expected at most {LONGEST_INSTRUCTION:,}; shorten it"
            )
    chosen = tuple(instructions[0] for instructions in episodes.tasks)
    _warn_of_empty(folder, chosen)
    return chosen, np.array([indices[instruction] for instruction in chosen], dtype=np.int64)


def _may_picture(folder: Path, info: Info, episodes: Episodes) -> bool:
    """Whether prompts may have pictures; if not, braces in instructions are text."""
    files = episodes.prompts is not None or (folder / layout.PROMPTS).exists()
    return files or own_entries(info).get("max_pictured", 0) > 0


def _warn_of_empty(folder: Path, instructions: Sequence[str]) -> None:
    empty = [index for index, text in enumerate(instructions) if not text.strip()]
    if 0 < len(empty) < len(instructions):
        warnings.warn(
            f"{folder}: {len(empty)} of {len(instructions)} episodes have no instruction, such as episode {empty[0]}: "
            "the policy learns them as one more task, which an empty instruction asks for",
            stacklevel=2,
        )


def _shortened(text: str | None) -> str:
    return repr(text) if text is None or len(text) <= 80 else f"{text[:77]!r}..."


def unnamed_dimensions(number: int) -> tuple[str, ...]:
    """Return the names of action dimensions that a dataset does not name."""
    return tuple(f"action_{index}" for index in range(number))


def _action_spec(folder: Path, info: Info, rows: Rows) -> ActionSpec:
    """Describe the actions; bounds that were not declared are those of the data, widened by a margin."""
    feature, own = info["features"][ACTION], own_entries(info)
    low, high = own.get("action_low"), own.get("action_high")
    if low is None or high is None:
        margin = np.maximum(WIDENING * (rows.high - rows.low), 1e-4 * np.maximum(1.0, np.abs(rows.high)))
        low, high = (rows.low - margin).tolist(), (rows.high + margin).tolist()
    names = dimension_names(feature)
    if names is None:
        names = unnamed_dimensions(len(rows.low))
        if feature.get("names"):
            warnings.warn(
                f"{folder / layout.INFO}: the names of {ACTION} do not fit its {len(names)} dimensions, which are "
                f"called {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}; correct the file to name them",
                NamesWarning,
                stacklevel=2,
            )
    try:
        return ActionSpec(
            names=names,
            low=tuple(low),
            high=tuple(high),
            binary=tuple(own.get("action_binary", ())),
            periodic=tuple(own.get("action_periodic", ())),
            bins=tuple(own.get("action_bins", ())),
        )
    except ValueError as error:
        raise ValueError(f"{folder / layout.INFO}: {error}; correct the file") from error
