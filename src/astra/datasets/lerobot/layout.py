"""LeRobotDataset v3.0 on disk: where its files lie and which type each column has.

    meta/info.json                              version, frame rate, features, counts
    meta/info.json.sha256                       its checksum, as `sha256sum` writes it; unknown to LeRobot
    meta/stats.json                             statistics of every feature
    meta/tasks.parquet                          task_index by instruction
    meta/episodes/chunk-000/file-000.parquet    one row per episode: instruction, rows, file, statistics
    data/chunk-000/file-000.parquet             one row per timestep, many episodes per file
    videos/CAMERA/chunk-000/file-000.mp4        frames of cameras that are stored as video, many episodes per file

Vectors are fixed-size lists (scalars if their length is 1), images are struct{bytes, path}. The crops of all
objects in a view are one image, side by side; their boxes are one vector. Three things are unknown to LeRobot:

    meta/prompts.parquet                        one row per distinct prompt with pictures; see prompts.py
    meta/videos.sha256                          checksums of the videos, as `sha256sum` writes them
    prompt_index                                column of the episodes; -1 for a prompt without pictures

Source: https://github.com/huggingface/lerobot, version 0.4.4, lerobot/datasets.
"""

import io
import json
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from astra.datasets.episode import is_camera, object_column
from astra.objects import CROP

VERSION = "v3.0"
INFO = "meta/info.json"
INFO_CHECKSUM = "meta/info.json.sha256"
STATISTICS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
PROMPTS = "meta/prompts.parquet"
PROMPT_INDEX = "prompt_index"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
OWN_KEY = "astra"
"""Entry of info.json with the bounds and kinds of the action dimensions and the sizes of views; LeRobot ignores it."""
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEOS = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FRAMES = ("image", "video")
"""Values of dtype of a column of frames."""

INDEX_COLUMNS = {
    "timestamp": pa.float32(),
    "frame_index": pa.int64(),
    "episode_index": pa.int64(),
    "index": pa.int64(),
    "task_index": pa.int64(),
}
"""Columns of every row beside its features: time in seconds and timestep in the episode, episode, row and
instruction."""

Feature = dict[str, Any]
"""One entry of `features` in info.json: dtype, shape and names."""


def is_image(column: str) -> bool:
    """Whether a column is stored as images: camera frames or crops."""
    return is_camera(column) or (object_column(column) or ("", ""))[1] == "crops"


def to_stored(column: str, values: np.ndarray) -> np.ndarray:
    """Return a column in its stored shape: crops side by side (T, 32, 32 O, 3), boxes as vectors (T, 4 O)."""
    match object_column(column):
        case (_, "crops"):
            return np.ascontiguousarray(values.swapaxes(1, 2)).reshape(len(values), CROP, -1, 3)
        case (_, "boxes"):
            return values.reshape(len(values), -1)
    return values


def split_crops(sheet: np.ndarray) -> np.ndarray:
    """Split the image in which crops lie side by side into crops (O, 32, 32, 3)."""
    return sheet.reshape(CROP, -1, CROP, 3).swapaxes(0, 1)


def feature_of(column: str, values: np.ndarray, names: Sequence[str] | None) -> Feature:
    """Describe a stored column of an episode, whose first axis is time."""
    if is_image(column):
        return {"dtype": "image", "shape": list(values.shape[1:]), "names": ["height", "width", "channels"]}
    return {
        "dtype": values.dtype.name,
        "shape": list(values.shape[1:]),
        "names": None if names is None else list(names),
    }


def index_columns(timesteps: int, fps: float, episode: int, first_row: int, task: int) -> dict[str, np.ndarray]:
    """Build the columns that every dataset has, for one episode."""
    frame_index = np.arange(timesteps)
    return {
        "timestamp": (frame_index / fps).astype(np.float32),
        "frame_index": frame_index,
        "episode_index": np.full(timesteps, episode),
        "index": first_row + frame_index,
        "task_index": np.full(timesteps, task),
    }


def index_features() -> dict[str, Feature]:
    """Describe the columns that every dataset has."""
    return {column: {"dtype": _DTYPES[kind], "shape": [1], "names": None} for column, kind in INDEX_COLUMNS.items()}


def to_arrow(column: str, values: np.ndarray) -> pa.Array:
    """Convert a stored column of an episode to its type in a data file."""
    if is_image(column):
        frames = pa.array([encode_png(frame) for frame in values], pa.binary())
        return pa.StructArray.from_arrays([frames, pa.nulls(len(values), pa.string())], names=["bytes", "path"])
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def to_numpy(values: pa.Array, size: int, where: str) -> np.ndarray:
    """Convert vectors or scalars of a data file to an array (rows, size); a missing scalar is NaN.

    Args:
        values: Scalars, or lists of numbers.
        size: Number of values per row.
        where: File and column, for messages.

    Raises:
        ValueError: if a row holds another number of values, or they are not numbers.
    """
    rows = len(values)
    while isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        lengths = [] if isinstance(values, pa.FixedSizeListArray) else np.diff(values.offsets.to_numpy())
        if values.null_count or len(np.unique(lengths)) > 1:
            raise ValueError(f"{where}: rows are missing or differ in length, expected {size} values in each")
        values = values.flatten()
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type)):
        raise ValueError(f"{where}: got values of type {values.type}, expected numbers")
    if len(values) != rows * size:
        raise ValueError(f"{where}: got {len(values) // max(rows, 1)} values per row, but info.json says {size}")
    return values.to_numpy(zero_copy_only=False).reshape(rows, size)


def encode_png(frame: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """Compress one RGB frame without loss."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, format="PNG", compress_level=3)
    return file.getvalue()


def decode_image(data: bytes, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """Decode one frame: PNG, or JPEG and WebP in datasets written by others. Gray becomes RGB.

    Args:
        data: The file.
        size: Height and width that it must have, checked before it is decoded; None: any.

    Raises:
        ValueError: if the bytes are not a complete image, or it has another size or more than 8 bits per channel.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if size is not None and (image.height, image.width) != size:
                    raise WrongFrameError(f"got a frame of {(image.height, image.width)} pixels, expected {size}")
                if image.mode not in MODES or _bits_per_channel(image, data) > 8:
                    raise WrongFrameError(
                        f"got a frame of more than 8 bits per channel (mode {image.mode!r}), such as a depth image: "
                        "Astra reads 8 bits per channel. Leave the column out, with --observations and the names of "
                        "the others, or scale a range of your choice, such as 0.2 to 2 m, to 0 to 255 before"
                    )
                return np.asarray(image.convert("RGB"))
    except WrongFrameError:
        raise
    except _UNREADABLE as error:
        raise ValueError(f"{len(data)} bytes are not a complete image: {error}; copy the dataset again") from error


def _bits_per_channel(image: Image.Image, data: bytes) -> int:
    """Return the bits per channel of a PNG or TIFF, which Pillow cuts to 8 without a word; 8 for other formats."""
    if data[:8] == _PNG:
        return data[24]
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
    return max(bits) if isinstance(bits, tuple) else int(bits)


class WrongFrameError(ValueError):
    """A complete image of the wrong kind."""


def tasks_table(task_indices: Mapping[str, int]) -> pa.Table:
    """Build the table of instructions, which pandas reads with the instruction as index."""
    table = pa.table(
        {
            "task_index": pa.array(list(task_indices.values()), pa.int64()),
            "__index_level_0__": pa.array(list(task_indices), pa.string()),
        }
    )
    return table.replace_schema_metadata({"pandas": _PANDAS_TASKS})


FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
"""Formats of frames, by Pillow's names."""
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes of 8 bits per channel at most."""
_PNG = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE = 258
"""Tag of a TIFF."""
_UNREADABLE = (
    *(UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, MemoryError),
    *(zlib.error, struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""Errors that Pillow raises for damaged files."""

_DTYPES = {pa.float32(): "float32", pa.int64(): "int64"}

_PANDAS_TASKS = json.dumps(
    {
        "index_columns": ["__index_level_0__"],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": [
            {
                "name": "task_index",
                "field_name": "task_index",
                "pandas_type": "int64",
                "numpy_type": "int64",
                "metadata": None,
            },
            {
                "name": None,
                "field_name": "__index_level_0__",
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": None,
            },
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
)
"""Metadata of the table of instructions by which pandas knows the index column."""
