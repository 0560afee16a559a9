"""Episodes and instructions of a dataset, from `meta/episodes/*.parquet` and `meta/tasks.parquet` of version 3.0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from astra.datasets.lerobot import layout
from astra.datasets.lerobot.info import COPY_AGAIN, Info, check_video_path, data_file, video_file
from astra.datasets.lerobot.tables import read_parquet

LATEST_START = 1e9
"""Latest time in a video at which an episode may begin, in seconds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeVideos:
    """The video of a camera, by episode."""

    files: tuple[str, ...]
    """File of each episode, as a path inside the dataset."""
    starts: Float64[np.ndarray, " episodes"]
    """Time in its file at which each episode begins, in seconds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Episodes:
    """Episodes as `meta/` describes them; checked against nothing else yet."""

    source: str
    """File that says so, for messages."""
    indices: Int64[np.ndarray, " episodes"]
    """Number of each episode."""
    lengths: Int64[np.ndarray, " episodes"]
    """Number of timesteps."""
    tasks: Sequence[Sequence[str]]
    """Its instructions."""
    data_files: tuple[str, ...]
    """Data file, as a path inside the dataset."""
    videos: Mapping[str, EpisodeVideos]
    """Videos by column, of the columns that are read."""
    first_rows: Int64[np.ndarray, " episodes"] | None = None
    """First row; None if it is not recorded."""
    prompts: Int64[np.ndarray, " episodes"] | None = None
    """Row in the table of prompts; None if it is not recorded."""


def read_episodes(folder: Path, info: Info, videos: Sequence[str]) -> Episodes:
    """Read the rows of all episodes of version 3.0.

    Args:
        folder: The dataset.
        info: Its info.json.
        videos: Columns to read that are stored as video.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged, lacks a column, or a place in it is negative.
    """
    check_video_path(folder, info, videos)
    paths = sorted((folder / "meta/episodes").glob("*/*.parquet"))
    if not paths:
        raise FileNotFoundError(f"{folder / layout.EPISODES} is missing; copy the whole dataset again")
    places = {column: [f"videos/{column}/{part}" for part in ("chunk_index", "file_index")] for column in videos}
    starts = {column: f"videos/{column}/from_timestamp" for column in videos}
    columns = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index", "dataset_from_index"]
    columns += [name for pair in places.values() for name in pair] + list(starts.values())
    tables = [read_parquet(path, columns, [layout.PROMPT_INDEX]) for path in paths]
    read = {name: _column(folder, name, tables, is_time=name in starts.values()) for name in tables[0].column_names}
    _check_places(folder, read, [*(name for pair in places.values() for name in pair), *starts.values()])
    return Episodes(
        source=layout.EPISODES,
        indices=read["episode_index"],
        lengths=read["length"],
        tasks=read["tasks"],
        data_files=_paths(
            lambda chunk, file: data_file(info, chunk, file), read, "data/chunk_index", "data/file_index"
        ),
        videos={
            column: EpisodeVideos(
                files=_paths(lambda chunk, file, c=column: video_file(info, c, chunk, file), read, *places[column]),
                starts=read[starts[column]],
            )
            for column in videos
        },
        first_rows=read["dataset_from_index"],
        prompts=read.get(layout.PROMPT_INDEX),
    )


def read_tasks(folder: Path) -> dict[str, int]:
    """Read the index of each instruction of version 3.0.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged, or has an instruction or an index twice.
    """
    path = folder / layout.TASKS
    table = read_parquet(path)
    names = [name for name in table.column_names if name != "task_index"]
    texts = [
        name for name in names if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)
    ]
    if "task_index" not in table.column_names or not pa.types.is_integer(table["task_index"].type) or not texts:
        raise ValueError(f"{path} has the columns {', '.join(table.column_names)}, expected task_index and the texts")
    text = next((name for name in ("__index_level_0__", "task") if name in texts), texts[0])
    return unique_tasks(path, table[text].to_pylist(), table["task_index"].to_pylist())


def unique_tasks(path: Path, texts: Sequence[Any], numbers: Sequence[Any]) -> dict[str, int]:
    """Return the index of each instruction.

    Raises:
        ValueError: if one is there twice, or missing.
    """
    indices = dict(zip(texts, numbers, strict=True))
    if len(indices) != len(texts) or len(set(indices.values())) != len(texts) or None in {*indices, *indices.values()}:
        raise ValueError(f"{path} has an instruction or an index twice, or misses one; {COPY_AGAIN}")
    return indices


def _paths(path: Any, read: Mapping[str, Any], chunk: str, file: str) -> tuple[str, ...]:
    return tuple(path(*place) for place in zip(read[chunk].tolist(), read[file].tolist(), strict=True))


def _column(folder: Path, column: str, tables: Sequence[pa.Table], is_time: bool) -> Any:
    """Read a column of all files: texts as lists, times as float64, and everything else as whole numbers."""
    parts = [table[column] for table in tables if column in table.column_names]
    fits, expected = pa.types.is_integer, "whole numbers"
    if column == "tasks":
        fits, expected = _is_texts, "lists of texts"
    elif is_time:
        fits, expected = pa.types.is_floating, "times in seconds"
    if len(parts) < len(tables) or not all(fits(part.type) and part.null_count == 0 for part in parts):
        raise ValueError(
            f"{folder}: the column {column!r} of {layout.EPISODES} has missing values, or not {expected}; {COPY_AGAIN}"
        )
    if column == "tasks":
        return [texts for part in parts for texts in part.to_pylist()]
    return np.concatenate([part.to_numpy() for part in parts]).astype(np.float64 if is_time else np.int64)


def _is_texts(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))


def _check_places(folder: Path, read: Mapping[str, Any], of_videos: Sequence[str]) -> None:
    least = {
        "length": 0,
        "data/chunk_index": 0,
        "data/file_index": 0,
        layout.PROMPT_INDEX: -1,
        **dict.fromkeys(of_videos, 0),
    }
    for name in least.keys() & read.keys():
        values = read[name]
        if (wrong := np.flatnonzero(~((values >= least[name]) & (values < LATEST_START)))).size:
            raise ValueError(
                f"{folder}: episode {wrong[0]} has {name} {values[wrong[0]]}, expected at least {least[name]}; "
                "correct it, or copy the dataset again"
            )
