"""Episodes and instructions of version 2: `meta/episodes.jsonl` and `meta/tasks.jsonl`.

    meta/tasks.jsonl                                    {"task_index": 0, "task": "push the T"}
    meta/episodes.jsonl                                 {"episode_index": 0, "tasks": ["push the T"], "length": 120}
    data/chunk-000/episode_000000.parquet               one row per timestep of an episode
    videos/chunk-000/CAMERA/episode_000000.mp4          its frames

Statistics lie in `meta/stats.json` (v2.0) or `meta/episodes_stats.jsonl` (v2.1), and are not read.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astra.datasets.lerobot.episodes import Episodes, EpisodeVideos, unique_tasks
from astra.datasets.lerobot.info import COPY_AGAIN, LARGEST_LINES, Info, check_video_path, data_file, video_file
from astra.storage.json_file import check_size

EPISODES = "meta/episodes.jsonl"
TASKS = "meta/tasks.jsonl"
FILES_PER_CHUNK = 1000


def read_episode_lines(folder: Path, info: Info, videos: Sequence[str]) -> Episodes:
    """Read all episodes of version 2; arguments and errors are those of `read_episodes`."""
    check_video_path(folder, info, videos)
    path = folder / EPISODES
    lines = read_lines(path, {"episode_index": int, "tasks": list, "length": int})
    lines.sort(key=lambda line: line["episode_index"])
    if wrong := [line for line in lines if not all(isinstance(task, str) for task in line["tasks"])]:
        raise ValueError(f"{path}: episode {wrong[0]['episode_index']} has tasks that are no texts; {COPY_AGAIN}")
    numbers = [line["episode_index"] for line in lines]
    per_chunk = info.get("chunks_size", FILES_PER_CHUNK)
    return Episodes(
        source=EPISODES,
        indices=np.array(numbers, dtype=np.int64),
        lengths=np.array([line["length"] for line in lines], dtype=np.int64),
        tasks=[line["tasks"] for line in lines],
        data_files=tuple(data_file(info, number // per_chunk, number) for number in numbers),
        videos={
            column: EpisodeVideos(
                files=tuple(video_file(info, column, number // per_chunk, number) for number in numbers),
                starts=np.zeros(len(numbers)),
            )
            for column in videos
        },
    )


def read_task_lines(folder: Path) -> dict[str, int]:
    """Read the index of each instruction of version 2; errors are those of `read_tasks`."""
    lines = read_lines(folder / TASKS, {"task_index": int, "task": str})
    return unique_tasks(folder / TASKS, [line["task"] for line in lines], [line["task_index"] for line in lines])


def read_lines(path: Path, fields: dict[str, type]) -> list[dict[str, Any]]:
    """Read a file of JSON objects, one per line.

    Args:
        path: The file.
        fields: Fields that each must have, with their types; whole numbers must be at least 0.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is too large, or a line is no such object; the message names the line.
    """
    check_size(path, COPY_AGAIN, LARGEST_LINES)
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not valid JSON ({error}; truncated?); {COPY_AGAIN}") from error
        for name, kind in fields.items():
            value = row.get(name) if isinstance(row, dict) else None
            if type(value) is not kind or (type(value) is int and not 0 <= value < 2**53):
                raise ValueError(
                    f"{path}, line {number}: {name} is {str(value)[:80]}, expected {_KINDS[kind]}; {COPY_AGAIN}"
                )
        rows.append(row)
    return rows


_KINDS = {int: "a whole number of at least 0", list: "a list of texts", str: "a text"}
