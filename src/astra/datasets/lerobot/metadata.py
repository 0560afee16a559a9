"""Metadata of a LeRobotDataset v3.0, read from `meta/` and checked."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from astra.datasets.episode import ACTION, OBJECTS, PARTS, is_camera, object_column, views_of
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.prompts import read_placeholders
from astra.datasets.lerobot.tables import read_parquet
from astra.objects import ObjectSpec, placeholders
from astra.trajectory import ActionSpec, Modality, TrajectorySpec

WIDENING = 0.01
"""Margin of bounds that are taken from the data, as a share of the data's range."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Checked contents of `meta/`."""

    columns: tuple[str, ...]
    """Columns to read, `action` among them."""
    ends: Int64[np.ndarray, " episodes"]
    """Row after the last one of each episode."""
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
    info = _read_info(folder)
    wanted = _choose(folder, info["features"], columns)
    features = _read(folder, wanted, reads)
    episodes = _read_episodes(folder)
    ends = np.cumsum(episodes["length"], dtype=np.int64)
    _check_rows(folder, info, episodes, ends)
    instructions = _instructions(folder, info, episodes["tasks"])
    prompts, pictured = _prompts(folder, episodes, instructions)
    plain = {column: feature for column, feature in features.items() if not object_column(column)}
    spec = TrajectorySpec(
        states={c: int(np.prod(f["shape"])) for c, f in plain.items() if c != ACTION and f["dtype"] != "image"},
        images={column: _height_width(feature) for column, feature in plain.items() if feature["dtype"] == "image"},
        actions=_action_spec(folder, info),
        objects=_object_spec(folder, info, views_of(wanted), features, max(map(len, pictured), default=0)),
        instructions=tuple(sorted(set(instructions))),
        fps=float(info["fps"]),
        suite=str(info.get(layout.OWN_KEY, {}).get("suite", "")),
    )
    places = dict.fromkeys(zip(episodes["data/chunk_index"], episodes["data/file_index"], strict=True))
    return Metadata(
        columns=tuple(features),
        ends=ends,
        instructions=instructions,
        prompts=prompts,
        pictured=pictured,
        data_files=tuple(folder / info["data_path"].format(chunk_index=c, file_index=f) for c, f in places),
        spec=spec,
    )


def readable_and_video_columns(folder: Path) -> tuple[list[str], list[str]]:
    """Return the columns that can be read, and those stored as video, which cannot be read yet.

    Raises:
        FileNotFoundError: if the folder is not a dataset.
        ValueError: if its metadata is damaged or of another version.
    """
    features = _choose(folder, _read_info(folder)["features"], None)
    videos = [column for column, feature in features.items() if feature["dtype"] == "video"]
    return [column for column in features if column not in videos], videos


def _read_info(folder: Path) -> dict[str, Any]:
    if not (folder / layout.INFO).exists():
        raise FileNotFoundError(_explain_missing(folder))
    info = _read_json(folder / layout.INFO)
    _check_version(folder, info)
    return info


def _explain_missing(folder: Path) -> str:
    if not folder.exists():
        return f"{folder} does not exist: create it with astra collect or astra convert, or give another --dataset"
    if (folder / "checkpoints").is_dir() or (folder / "model.safetensors").exists():
        return f"{folder} contains a policy, not a dataset: inspect it with astra inspect checkpoint {folder}"
    return f"{folder} is not a LeRobotDataset v3.0: it has no {layout.INFO}"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; copy the whole dataset again")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON (truncated?): {error}; copy the dataset again") from error


def _check_version(folder: Path, info: dict[str, Any]) -> None:
    version = info.get("codebase_version")
    if version != layout.VERSION:
        raise ValueError(
            f"{folder} is a LeRobotDataset {version}, expected {layout.VERSION}; convert it with LeRobot's own "
            "converter"
        )
    if missing := {"features", "fps", "data_path", "total_frames", "total_episodes", "total_tasks"} - info.keys():
        raise ValueError(f"{folder / layout.INFO} lacks {', '.join(sorted(missing))}; copy the dataset again")


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
    if videos := [column for column, feature in features.items() if feature["dtype"] == "video"]:
        raise ValueError(
            f"{folder} stores {', '.join(videos)} as video, which cannot be read yet (image columns can): train "
            "without them with --policy.states.reads vectors, or list the columns to read with --observations"
        )
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
    folder: Path, episodes: dict[str, list[Any]], instructions: tuple[str, ...]
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
    own = info.get(layout.OWN_KEY, {})
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


def _read_episodes(folder: Path) -> dict[str, list[Any]]:
    paths = sorted((folder / "meta/episodes").glob("*/*.parquet"))
    if not paths:
        raise FileNotFoundError(f"{folder / layout.EPISODES} is missing; copy the whole dataset again")
    columns = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index", "dataset_from_index"]
    columns += [layout.PROMPT_INDEX] * (folder / layout.PROMPTS).exists()
    return pa.concat_tables([read_parquet(path, columns) for path in paths]).to_pydict()


def _check_rows(folder: Path, info: dict[str, Any], episodes: dict[str, list[Any]], ends: np.ndarray) -> None:
    number = len(ends)
    if number == 0 or episodes["episode_index"] != list(range(number)) or number != info["total_episodes"]:
        raise ValueError(
            f"{folder}: {layout.INFO} says {info['total_episodes']} episodes, but {layout.EPISODES} and its "
            f"siblings have {number}; copy the whole dataset again"
        )
    if episodes["dataset_from_index"] != [0, *ends[:-1].tolist()] or ends[-1] != info["total_frames"]:
        raise ValueError(
            f"{folder}: the episodes' lengths add up to {ends[-1]} rows, but {layout.INFO} says "
            f"{info['total_frames']}, or they leave gaps; copy the whole dataset again"
        )


def _instructions(folder: Path, info: dict[str, Any], tasks: list[list[str]]) -> tuple[str, ...]:
    for index, instructions in enumerate(tasks):
        if len(instructions) != 1:
            raise ValueError(f"{folder}: episode {index} has the instructions {instructions}, expected exactly one")
    number = len(read_parquet(folder / layout.TASKS, ["task_index"]))
    if number != info["total_tasks"]:
        raise ValueError(
            f"{folder}: {layout.TASKS} has {number} instructions, but {layout.INFO} says {info['total_tasks']}; copy "
            "the whole dataset again"
        )
    return tuple(instructions[0] for instructions in tasks)


def _height_width(feature: layout.Feature) -> tuple[int, int]:
    shape = feature["shape"]
    height, width = shape[:2] if shape[-1] == 3 else shape[1:]
    return height, width


def _action_spec(folder: Path, info: dict[str, Any]) -> ActionSpec:
    feature = info["features"][ACTION]
    size = int(np.prod(feature["shape"]))
    names = feature["names"]
    if not isinstance(names, list) or len(names) != size:
        names = [f"action_{index}" for index in range(size)]
    recorded = info.get(layout.OWN_KEY, {})
    if "action_low" in recorded:
        low, high, binary = recorded["action_low"], recorded["action_high"], recorded["action_binary"]
    else:
        low, high, binary = *_bounds_of_data(_read_json(folder / layout.STATISTICS), folder), ()
    return ActionSpec(
        names=tuple(map(str, names)),
        low=tuple(low),
        high=tuple(high),
        binary=tuple(binary),
        periodic=tuple(recorded.get("action_periodic", ())),
        bins=tuple(recorded.get("action_bins", ())),
    )


def _bounds_of_data(statistics: dict[str, Any], folder: Path) -> tuple[list[float], list[float]]:
    if ACTION not in statistics:
        raise ValueError(f"{folder / layout.STATISTICS} has no statistics of {ACTION!r}; copy the dataset again")
    low = np.array(statistics[ACTION]["min"], dtype=np.float64).reshape(-1)
    high = np.array(statistics[ACTION]["max"], dtype=np.float64).reshape(-1)
    margin = np.maximum(WIDENING * (high - low), 1e-4 * np.maximum(1.0, np.abs(high)))
    return (low - margin).tolist(), (high + margin).tolist()
