"""Datasets with cameras as LeRobot stores them, written here by hand: v3.0 with videos, v2.0 and v2.1."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from av.video.stream import VideoStream

from astra.datasets.lerobot.layout import encode_png, tasks_table

FPS = 10
CAMERA = "observation.images.top"
LENGTHS = (7, 5, 9)
TASKS = ("go left", "go right")
INDICES = {name: {"dtype": "int64", "shape": [1], "names": None} for name in ("frame_index", "episode_index", "index")}


def pictures(number: int, size: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    """Draw frames that all differ, (number, height, width, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (number, *(-(-side // 8) for side in size), 3))
    return coarse.repeat(8, 1).repeat(8, 2)[:, : size[0], : size[1]].astype(np.uint8)


def write_mp4(
    path: Path,
    frames: np.ndarray,
    *,
    fps: float = FPS,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    keyframes: int = 4,
    times: Sequence[float] | None = None,
    muxing: Mapping[str, str] | None = None,
) -> None:
    """Encode frames; `times` in seconds replaces the constant frame rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    quiet = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"svtav1-params": "rc=0"}}
    with av.open(str(path), "w", options=dict(muxing or {})) as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=quiet.get(codec, {}))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.codec_context.gop_size = keyframes
        stream.codec_context.time_base = Fraction(1, 1000) if times else 1 / Fraction(fps)
        for number, pixels_of in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels_of, "rgb24")
            frame.pts = round(times[number] * 1000) if times else number
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def decode_all(path: Path) -> np.ndarray:
    """Decode a whole video from its beginning, as PyAV does by itself."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def rows_of(lengths: Sequence[int], seed: int = 0) -> list[pa.Table]:
    """Build the rows of each episode: a state of 3, actions of 2 dimensions, and the columns of indices."""
    random, first, tables = np.random.default_rng(seed), 0, []
    for episode, length in enumerate(lengths):
        vectors = {
            name: random.normal(size=(length, n)).astype(np.float32)
            for name, n in (("observation.state", 3), ("action", 2))
        }
        columns = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), v.shape[1]) for name, v in vectors.items()
        }
        columns |= {
            "timestamp": pa.array((np.arange(length) / FPS).astype(np.float32)),
            "frame_index": pa.array(np.arange(length)),
            "episode_index": pa.array(np.full(length, episode)),
            "index": pa.array(first + np.arange(length)),
            "task_index": pa.array(np.full(length, episode % 2)),
        }
        first += length
        tables.append(pa.table(columns))
    return tables


def info_of(version: str, lengths: Sequence[int], size: tuple[int, int], dtype: str = "video") -> dict[str, Any]:
    return {
        "codebase_version": version,
        "robot_type": "arm",
        "fps": FPS,
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": len(TASKS),
        "chunks_size": 1000,
        "features": {
            "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": ["x", "y", "z"]}},
            "action": {"dtype": "float32", "shape": [2], "names": ["dx", "dy"]},
            CAMERA: {"dtype": dtype, "shape": [*size, 3], "names": ["height", "width", "channels"]},
            **INDICES,
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            "task_index": {"dtype": "int64", "shape": [1], "names": None},
        },
    }


def write_version_3(
    folder: Path,
    *,
    lengths: Sequence[int] = LENGTHS,
    size: tuple[int, int] = (48, 64),
    per_file: int = 2,
    **encoding: Any,
) -> list[np.ndarray]:
    """Write a dataset of version 3.0 with one camera as video, and return the frames of each episode."""
    info = info_of("v3.0", lengths, size)
    info["data_path"] = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    rows, ends = rows_of(lengths), np.cumsum(lengths).tolist()
    for name in ("meta/episodes/chunk-000", "data/chunk-000"):
        (folder / name).mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    pq.write_table(tasks_table({task: number for number, task in enumerate(TASKS)}), folder / "meta/tasks.parquet")
    pq.write_table(pa.concat_tables(rows), folder / "data/chunk-000/file-000.parquet")
    files, starts, expected = [], [], []
    for first in range(0, len(lengths), per_file):
        chosen = lengths[first : first + per_file]
        path = folder / f"videos/{CAMERA}/chunk-000/file-{first // per_file:03d}.mp4"
        write_mp4(path, pictures(sum(chosen), size, seed=first), **encoding)
        decoded = decode_all(path)
        for number, length in enumerate(chosen):
            begins = sum(chosen[:number])
            files.append(first // per_file)
            starts.append(begins / FPS)
            expected.append(decoded[begins : begins + length])
    zeros = [0] * len(lengths)
    episodes = {
        "episode_index": list(range(len(lengths))),
        "tasks": [[TASKS[number % 2]] for number in range(len(lengths))],
        "length": list(lengths),
        "data/chunk_index": zeros,
        "data/file_index": zeros,
        "dataset_from_index": [end - length for end, length in zip(ends, lengths, strict=True)],
        "dataset_to_index": ends,
        f"videos/{CAMERA}/chunk_index": zeros,
        f"videos/{CAMERA}/file_index": files,
        f"videos/{CAMERA}/from_timestamp": starts,
        f"videos/{CAMERA}/to_timestamp": [start + length / FPS for start, length in zip(starts, lengths, strict=True)],
    }
    pq.write_table(pa.table(episodes), folder / "meta/episodes/chunk-000/file-000.parquet")
    return expected


def write_version_2(
    folder: Path,
    *,
    version: str = "v2.1",
    dtype: str = "video",
    lengths: Sequence[int] = LENGTHS,
    size: tuple[int, int] = (48, 64),
    per_chunk: int = 2,
) -> list[np.ndarray]:
    """Write a dataset of version 2 with one camera as video or images, and return the frames of each episode."""
    info = info_of(version, lengths, size, dtype)
    info |= {
        "total_chunks": 2,
        "total_videos": len(lengths),
        "chunks_size": per_chunk,
        "splits": {"train": f"0:{len(lengths)}"},
    }
    info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    lines = [{"task_index": number, "task": task} for number, task in enumerate(TASKS)]
    (folder / "meta/tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    lines = [{"episode_index": n, "tasks": [TASKS[n % 2]], "length": length} for n, length in enumerate(lengths)]
    (folder / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    expected = []
    for number, rows in enumerate(rows_of(lengths)):
        frames = pictures(len(rows), size, seed=number)
        if dtype == "video":
            path = folder / f"videos/chunk-{number // per_chunk:03d}/{CAMERA}/episode_{number:06d}.mp4"
            if len(frames):
                write_mp4(path, frames)
                frames = decode_all(path)
        else:
            images = pa.array(
                [{"bytes": encode_png(frame), "path": f"frame_{i}.png"} for i, frame in enumerate(frames)]
            )
            rows = rows.append_column(CAMERA, images)
        path = folder / f"data/chunk-{number // per_chunk:03d}/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path)
        expected.append(frames)
    return expected
