"""Metadata of a LeRobotDataset v3.0, read from `meta/` and checked."""

import math
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from astra.datasets.episode import ACTION, OBJECTS, PARTS, is_camera, object_column, views_of
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.checks import Bounds, check_rows
from astra.datasets.lerobot.info import check_readable, data_file, dimension_names, height_width, own_entries, read_info
from astra.datasets.lerobot.prompts import read_placeholders
from astra.datasets.lerobot.tables import read_parquet
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
    spec: TrajectorySpec
    """Contents of the trajectories."""


def read_metadata(folder: Path, columns: Collection[str] | None, reads: Collection[Modality] | None = None) -> Metadata:
    """Read and check `meta/`.

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
    episodes = _read_episodes(folder)
    lengths = episodes["length"]
    _check_lengths(folder, info, episodes)
    instructions, tasks = _instructions(folder, info, episodes["tasks"])
    prompts, pictured = None, ()
    if _may_picture(folder, info, episodes):
        prompts, pictured = _prompts(folder, episodes, instructions)
    real = np.flatnonzero(lengths).tolist()
    places = dict.fromkeys((int(episodes["data/chunk_index"][i]), int(episodes["data/file_index"][i])) for i in real)
    files = tuple(folder / data_file(info, chunk, file) for chunk, file in places)
    try:
        bounds = check_rows(files, lengths, tasks, float(info["fps"]), features, info["features"])
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    plain = {column: feature for column, feature in features.items() if not object_column(column)}
    spec = TrajectorySpec(
        states={c: math.prod(f["shape"]) for c, f in plain.items() if c != ACTION and f["dtype"] != "image"},
        images={column: height_width(feature) for column, feature in plain.items() if feature["dtype"] == "image"},
        actions=_action_spec(folder, info, bounds),
        objects=_object_spec(folder, info, views_of(wanted), features, max(map(len, pictured), default=0)),
        instructions=tuple(sorted({instructions[i] for i in real})),
        fps=float(info["fps"]),
        suite=own_entries(info).get("suite", ""),
    )
    return Metadata(
        columns=tuple(features),
        ends=np.cumsum(lengths, dtype=np.int64),
        instructions=instructions,
        prompts=prompts,
        pictured=pictured,
        data_files=files,
        spec=spec,
    )


def readable_and_video_columns(folder: Path) -> tuple[list[str], list[str]]:
    """Return the columns that can be read, and those stored as video, which cannot be read yet.

    Raises:
        FileNotFoundError: if the folder is not a dataset.
        ValueError: if its metadata is damaged or of another version.
    """
    features = _choose(folder, read_info(folder)["features"], None)
    videos = [column for column, feature in features.items() if feature["dtype"] == "video"]
    return [column for column in features if column not in videos], videos


def _choose(
    folder: Path, features: dict[str, layout.Feature], columns: Collection[str] | None
) -> dict[str, layout.Feature]:
    known = [column for column in features if column == ACTION or column.startswith("observation.")]
    wanted = known if columns is None else [part for column in columns for part in _parts(column)]
    if unknown := [column for column in {*wanted, ACTION} if column not in known]:
        raise ValueError(f"{folder} has no column {', '.join(unknown)}; it has {', '.join(known)}")
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
    return "images" if is_camera(column) or feature["dtype"] in ("image", "video") else "vectors"


def _parts(column: str) -> list[str]:
    """Return the columns of a view of objects, `observation.objects.VIEW`, or any other column as it is."""
    is_view = column.startswith(f"{OBJECTS}.") and object_column(column) is None
    return [f"{column}.{part}" for part in PARTS] if is_view else [column]


def _prompts(
    folder: Path, episodes: dict[str, Any], instructions: tuple[str, ...]
) -> tuple[Int64[np.ndarray, " episodes"] | None, tuple[tuple[str, ...], ...]]:
    """Return each episode's prompt with pictures, and by prompt the placeholder of each object."""
    wanted = {index for index, instruction in enumerate(instructions) if placeholders(instruction)}
    if not wanted:
        return None, ()
    if layout.PROMPT_INDEX not in episodes:
        raise ValueError(
            f"{folder}: the instruction {instructions[min(wanted)]!r} has placeholders, but the episodes have no "
            f"{layout.PROMPT_INDEX} in {layout.EPISODES}, so their pictures cannot be found; write the dataset again"
        )
    names = read_placeholders(folder)
    prompts = np.asarray(episodes[layout.PROMPT_INDEX], dtype=np.int64)
    for index, (prompt, instruction) in enumerate(zip(prompts.tolist(), instructions, strict=True)):
        if index not in wanted and prompt == -1:
            continue
        found = tuple(dict.fromkeys(names[prompt])) if 0 <= prompt < len(names) else None
        if found != placeholders(instruction):
            raise ValueError(
                f"{folder / layout.PROMPTS}: the instruction of episode {index}, {instruction!r}, needs pictures for "
                f"{', '.join(placeholders(instruction)) or 'nothing'}, but prompt {prompt} of {len(names)} has "
                f"{', '.join(found or ()) or 'none'}; copy the whole dataset again"
            )
    return prompts, tuple(map(tuple, names))


def _object_spec(
    folder: Path,
    info: dict[str, Any],
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


def _read_episodes(folder: Path) -> dict[str, Any]:
    """Read the rows of all episodes: texts as lists, and everything else as whole numbers."""
    paths = sorted((folder / "meta/episodes").glob("*/*.parquet"))
    if not paths:
        raise FileNotFoundError(f"{folder / layout.EPISODES} is missing; copy the whole dataset again")
    columns = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index", "dataset_from_index"]
    tables = [read_parquet(path, columns, [layout.PROMPT_INDEX]) for path in paths]
    episodes: dict[str, Any] = {}
    for column in tables[0].column_names:
        parts = [table[column] for table in tables if column in table.column_names]
        fits = _is_texts if column == "tasks" else pa.types.is_integer
        if len(parts) < len(tables) or not all(fits(part.type) and part.null_count == 0 for part in parts):
            raise ValueError(
                f"{folder}: the column {column!r} of {layout.EPISODES} has missing values, or not "
                f"{'lists of texts' if column == 'tasks' else 'whole numbers'}; copy the dataset again"
            )
        if column == "tasks":
            episodes[column] = [texts for part in parts for texts in part.to_pylist()]
        else:
            episodes[column] = np.concatenate([part.to_numpy() for part in parts]).astype(np.int64)
    return episodes


def _is_texts(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))


def _check_lengths(folder: Path, info: dict[str, Any], episodes: dict[str, Any]) -> None:
    number = len(episodes["length"])
    if not np.array_equal(episodes["episode_index"], np.arange(number)) or number != info["total_episodes"]:
        raise ValueError(
            f"{folder}: {layout.INFO} says {info['total_episodes']} episodes, but {layout.EPISODES} and its "
            f"siblings have {number}; copy the whole dataset again"
        )
    lengths = episodes["length"]
    for name, least in (("length", 0), ("data/chunk_index", 0), ("data/file_index", 0), (layout.PROMPT_INDEX, -1)):
        if name in episodes and (wrong := np.flatnonzero(episodes[name] < least)).size:
            raise ValueError(
                f"{folder}: episode {wrong[0]} has {name} {episodes[name][wrong[0]]}, expected at least {least}; "
                "correct it, or copy the dataset again"
            )
    ends = np.cumsum(lengths)
    if number and (
        not np.array_equal(episodes["dataset_from_index"], ends - lengths) or ends[-1] != info["total_frames"]
    ):
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
    folder: Path, info: dict[str, Any], tasks: list[list[str]]
) -> tuple[tuple[str, ...], Int64[np.ndarray, " episodes"]]:
    """Return the instruction of each episode and its index in the table of instructions."""
    path = folder / layout.TASKS
    table = read_parquet(path)
    names = [name for name in table.column_names if name != "task_index"]
    texts = [
        name for name in names if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)
    ]
    if "task_index" not in table.column_names or not pa.types.is_integer(table["task_index"].type) or not texts:
        raise ValueError(f"{path} has the columns {', '.join(table.column_names)}, expected task_index and the texts")
    text = next((name for name in ("__index_level_0__", "task") if name in texts), texts[0])
    if len(table) != info["total_tasks"]:
        raise ValueError(
            f"{folder}: {layout.TASKS} has {len(table)} instructions, but {layout.INFO} says {info['total_tasks']}; "
            "copy the whole dataset again"
        )
    indices = dict(zip(table[text].to_pylist(), table["task_index"].to_pylist(), strict=True))
    if len(indices) != len(table) or len(set(indices.values())) != len(table) or None in {*indices, *indices.values()}:
        raise ValueError(f"{path} has an instruction or an index twice, or misses one; copy the dataset again")
    for index, instructions in enumerate(tasks):
        if len(instructions) != 1:
            raise ValueError(f"{folder}: episode {index} has the instructions {instructions}, expected exactly one")
        if instructions[0] not in indices:
            raise ValueError(
                f"{folder}: {layout.EPISODES} says that the instruction of episode {index} is "
                f"{_shortened(instructions[0])}, which {layout.TASKS} does not have; correct one of them"
            )
        if len(instructions[0]) > LONGEST_INSTRUCTION:
            raise ValueError(
                f"{folder}: the instruction of episode {index}, {_shortened(instructions[0])}, has "
                f"{len(instructions[0]):,} characters, expected at most {LONGEST_INSTRUCTION:,}; shorten it"
            )
    chosen = tuple(instructions[0] for instructions in tasks)
    _warn_of_empty(folder, chosen)
    return chosen, np.array([indices[instruction] for instruction in chosen], dtype=np.int64)


def _may_picture(folder: Path, info: dict[str, Any], episodes: dict[str, Any]) -> bool:
    """Whether prompts may have pictures; if not, braces in instructions are text."""
    files = layout.PROMPT_INDEX in episodes or (folder / layout.PROMPTS).exists()
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


def _action_spec(folder: Path, info: dict[str, Any], bounds: Bounds) -> ActionSpec:
    """Describe the actions; bounds that were not declared are those of the data, widened by a margin."""
    feature, own = info["features"][ACTION], own_entries(info)
    low, high = own.get("action_low"), own.get("action_high")
    if low is None or high is None:
        margin = np.maximum(WIDENING * (bounds[1] - bounds[0]), 1e-4 * np.maximum(1.0, np.abs(bounds[1])))
        low, high = (bounds[0] - margin).tolist(), (bounds[1] + margin).tolist()
    try:
        return ActionSpec(
            names=dimension_names(feature) or tuple(f"action_{index}" for index in range(len(bounds[0]))),
            low=tuple(low),
            high=tuple(high),
            binary=tuple(own.get("action_binary", ())),
            periodic=tuple(own.get("action_periodic", ())),
            bins=tuple(own.get("action_bins", ())),
        )
    except ValueError as error:
        raise ValueError(f"{folder / layout.INFO}: {error}; correct the file") from error
