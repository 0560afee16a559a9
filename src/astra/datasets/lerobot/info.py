"""`meta/info.json` of a dataset, and other JSON files: nothing in them is believed before it is checked."""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astra.datasets.episode import ACTION, check_fps, is_camera, object_column
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.info_checksum import warn_of_changes
from astra.storage.json_file import read_json_object
from astra.storage.what_is import what_is

COPY_AGAIN = "copy the dataset again"
"""Remedy for a damaged file."""
LARGEST_VECTOR = 2**20
"""Largest number of values of a state vector or an action in one timestep."""
LARGEST_FRAME = 2**26
"""Largest number of pixels of a frame."""
LARGEST_LINES = 2**28
"""Largest file of JSON lines, in bytes."""
LARGEST_PROMPT = 1024
"""Largest number of objects pictured in one prompt."""

_VIDEO_KEY = "video_key"
_DEPTH = "video.is_depth_map"

Info = dict[str, Any]
"""Checked content of info.json."""

FIELDS = {"v2.0": ("episode_chunk", "episode_index"), "v2.1": ("episode_chunk", "episode_index")}
"""Numbers in the paths of data and videos, by version; in v3.0 they are `chunk_index` and `file_index`."""

_REQUIRED = {"features", "fps", "data_path", "total_frames", "total_episodes", "total_tasks"}
_COLUMN = re.compile(r"[^/\\\x00-\x1f]{1,200}")
_FIELD = re.compile(r"\{(\w+)(?::0?([1-9])?[ds]?)?\}")


def read_info(folder: Path) -> Info:
    """Read and check info.json; warn if it was changed after Astra wrote it.

    Raises:
        FileNotFoundError: if the folder is not a dataset.
        ValueError: if the file is damaged, of another version, or has an entry of the wrong type or size; the message
            names the entry.
    """
    path = folder / layout.INFO
    if not path.exists():
        raise FileNotFoundError(_explain_missing(folder))
    info = read_meta(path)
    _check_version(folder, info.get("codebase_version"))
    if missing := _REQUIRED - info.keys():
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; copy the dataset again")
    try:
        _check_entries(info)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; correct the file, or copy the dataset again") from error
    warn_of_changes(folder)
    return info


def read_meta(path: Path) -> dict[str, Any]:
    """Read a JSON file of a dataset, with an object at its top.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is not a regular file, too large, not valid JSON, nested too deeply, or holds no object.
    """
    return read_json_object(path, "JSON", COPY_AGAIN)


def is_version_2(info: Info) -> bool:
    """Whether a dataset is of version 2.0 or 2.1: one file per episode, and JSON lines in `meta/`."""
    return info["codebase_version"] in FIELDS


def data_file(info: Info, chunk: int, file: int) -> str:
    """Return the path inside its dataset of a data file, or in version 2 of the data of an episode."""
    return _fill(info, info["data_path"], chunk, file, "")


def video_file(info: Info, column: str, chunk: int, file: int) -> str:
    """Return the path inside its dataset of a video file, or in version 2 of the video of an episode."""
    return _fill(info, info["video_path"], chunk, file, column)


def check_video_path(folder: Path, info: Info, videos: Sequence[str]) -> None:
    """Check that info.json says where videos lie, if any are read.

    Raises:
        ValueError: if it does not.
    """
    if videos and info.get("video_path") is None:
        raise ValueError(f"{folder / layout.INFO} has no video_path, but {videos[0]} is stored as video; {COPY_AGAIN}")


def _fill(info: Info, path: str, chunk: int, file: int, column: str) -> str:
    names = _numbers(info)
    values = {names[0]: chunk, names[1]: file}
    return _FIELD.sub(lambda f: column if f[1] == _VIDEO_KEY else f"{values[f[1]]:0{f[2] or 1}d}", path)


def _numbers(info: Info) -> tuple[str, str]:
    return FIELDS.get(info["codebase_version"], ("chunk_index", "file_index"))


def height_width(feature: layout.Feature) -> tuple[int, int]:
    """Return the height and width of a feature's frames, by the names of its axes if it has any.

    Raises:
        ValueError: if the shape is not that of gray or color frames.
    """
    shape, names = feature["shape"], feature.get("names")
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) == 3:
        if isinstance(names, list) and {"height", "width"} <= set(map(str, names)) and len(names) == 3:
            sizes = dict(zip(map(str, names), shape, strict=True))
            height, width = sizes.pop("height"), sizes.pop("width")
            if set(sizes.values()) <= {1, 3, 4}:
                return height, width
        if shape[2] in (1, 3, 4):
            return shape[0], shape[1]
        if shape[0] in (1, 3, 4):
            return shape[1], shape[2]
    raise ValueError(f"got the shape {shape}, expected frames of 1, 3 or 4 channels, such as [480, 640, 3]")


def dimension_names(feature: layout.Feature) -> tuple[str, ...] | None:
    """Return the names of a vector's dimensions, which LeRobot stores as a list, as [[...]] or as {"motors": [...]}.

    None, if there are none, or another number of them.
    """
    names = feature.get("names")
    if isinstance(names, dict):
        names = [name for group in names.values() if isinstance(group, list) for name in group]
    if isinstance(names, list) and len(names) == 1 and isinstance(names[0], list):
        names = names[0]
    size = math.prod(feature["shape"])
    return tuple(map(str, names)) if isinstance(names, list) and len(names) == size else None


class NamesWarning(UserWarning):
    """Warning of names that do not fit a vector, which deserves a look, but is not wrong."""


def own_entries(info: Info) -> Mapping[str, Any]:
    """Return what Astra itself stored in info.json."""
    return info.get(layout.OWN_KEY, {})


def _explain_missing(folder: Path) -> str:
    if not folder.exists():
        here = "" if folder.is_absolute() else f" in {Path.cwd()}"
        return (
            f"{folder} does not exist{here}: create it with astra collect or astra convert, or name another folder "
            "(for a run with --dataset), or the id of a dataset on the Hugging Face Hub, OWNER/NAME"
        )
    remedy = (
        "astra convert --help lists the formats that can be converted, and docs/add-a-dataset.md shows how to write "
        "other recordings as a dataset"
    )
    return f"{folder} is not a LeRobotDataset, it has no {layout.INFO}: {what_is(folder) or remedy}"


def _check_version(folder: Path, version: Any) -> None:
    """Check that a version can be read; warn of one that is newer than those known."""
    if version in (layout.VERSION, *FIELDS):
        return
    numbers = re.fullmatch(r"v(\d{1,3})\.(\d{1,3})", version) if isinstance(version, str) else None
    if numbers is None or int(numbers[1]) < 3:
        raise ValueError(
            f"{folder} is a LeRobotDataset of the version {_shown(version)}, expected {', '.join(FIELDS)} or "
            f"{layout.VERSION}: convert it with LeRobot's own converter"
        )
    warnings.warn(
        f"{folder} is a LeRobotDataset {version}, newer than {layout.VERSION}: it is read as if it were "
        f"{layout.VERSION}",
        stacklevel=3,
    )


def _check_entries(info: Info) -> None:
    check_fps(info["fps"])
    for name in ("total_frames", "total_episodes", "total_tasks"):
        if not _is_int(info[name], 0, 2**53):
            raise ValueError(f"{name} is {_shown(info[name])}, expected a whole number of at least 0")
    _check_path("data_path", info["data_path"], _numbers(info), layout.DATA)
    if info.get("video_path") is not None:
        _check_path("video_path", info["video_path"], (*_numbers(info), _VIDEO_KEY), layout.VIDEOS)
    if not _is_int(info.get("chunks_size", 1000), 1, 2**53):
        raise ValueError(f"chunks_size is {_shown(info['chunks_size'])}, expected a whole number of at least 1")
    features = info["features"]
    if not isinstance(features, dict):
        raise ValueError(f"features is {_shown(features)}, expected an object with one entry per column")
    for column, feature in features.items():
        if column == ACTION or column.startswith("observation."):
            _check_feature(column, feature)
    own = info.get(layout.OWN_KEY, {})
    if not isinstance(own, dict):
        raise ValueError(f"{layout.OWN_KEY} is {_shown(own)}, expected an object")
    _check_own(own)


def _check_path(name: str, path: Any, fields: Sequence[str], example: str) -> None:
    text = path if isinstance(path, str) else "{"
    fixed = _FIELD.sub(lambda field: "0" if field[1] in fields else field[0], text)
    if "{" in fixed or "}" in fixed or not _is_inside(fixed):
        raise ValueError(
            f"{name} is {_shown(path)}, expected a path inside the dataset with no other fields than "
            f"{', '.join(fields)}, such as {example}"
        )


def _is_inside(path: str) -> bool:
    return bool(path) and "\0" not in path and not Path(path).is_absolute() and ".." not in Path(path).parts


def _check_feature(column: str, feature: Any) -> None:
    if not _COLUMN.fullmatch(column):
        raise ValueError(f"got the column {_shown(column)}, expected a name of at most 200 characters without slashes")
    where = f"the feature {column!r}"
    if not isinstance(feature, dict) or not isinstance(feature.get("dtype"), str):
        raise ValueError(f"{where} is {_shown(feature)}, expected an object with dtype and shape")
    shape = feature.get("shape")
    if not isinstance(shape, list) or not all(_is_int(size, 1, 2**40) for size in shape):
        raise ValueError(f"{where} has the shape {_shown(shape)}, expected a list of positive whole numbers")
    is_frame = feature["dtype"] in layout.FRAMES
    largest = LARGEST_FRAME * 4 if is_frame else LARGEST_VECTOR
    if math.prod(shape) > largest:
        raise ValueError(f"{where} has the shape {shape}, expected at most {largest:,} values per timestep")
    if is_frame:
        try:
            height_width(feature)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    names = feature.get("names")
    if not isinstance(names, list | dict | None):
        raise ValueError(f"{where} has the names {_shown(names)}, expected a list, an object or null")


def check_readable(folder: Path, features: Mapping[str, layout.Feature]) -> None:
    """Check that the columns to read hold numbers or images, in a form that Astra reads.

    Raises:
        ValueError: if one holds depth, text or anything else; the message names it.
    """
    for column, feature in features.items():
        if problem := _problem(column, feature):
            raise ValueError(
                f"{folder}: the column {column!r} {problem}: list the columns to read with --observations, without "
                "this one"
            )


def _problem(column: str, feature: layout.Feature) -> str | None:
    dtype, found = feature["dtype"], object_column(column)
    shows_frames = is_camera(column) or (found is not None and found[1] == "crops")
    if dtype in layout.FRAMES:
        if not shows_frames:
            return "holds frames, which Astra reads from observation.image and observation.images.CAMERA only"
        if dtype == "video" and found:
            return "holds crops of objects as video, which Astra reads from images only"
        if any(isinstance(feature.get(key), dict) and feature[key].get(_DEPTH) for key in ("info", "video_info")):
            return "holds depth, and Astra reads colors"
        return None
    if shows_frames:
        return f"is named as a camera, but its dtype is {dtype!r} instead of {' or '.join(layout.FRAMES)}"
    if not re.fullmatch(r"bool|u?int\d+|float\d+", dtype):
        return f"holds {dtype!r}, neither numbers nor images"
    return None


def _check_own(own: Mapping[str, Any]) -> None:
    bounds = {"action_low", "action_high", "action_binary"}
    if (given := bounds & own.keys()) and (missing := bounds - given):
        raise ValueError(f"{layout.OWN_KEY} has {', '.join(sorted(given))}, but no {', '.join(sorted(missing))}")
    kinds = {
        "action_low": _is_number,
        "action_high": _is_number,
        "action_binary": _is_bool,
        "action_periodic": _is_bool,
        "action_bins": lambda bins: _is_int(bins, 2, 2**20),
    }
    for name, kind in kinds.items():
        values = own.get(name, [])
        if not isinstance(values, list) or not all(map(kind, values)):
            raise ValueError(f"{layout.OWN_KEY}.{name} is {_shown(values)}, expected a list of one value per dimension")
    views = own.get("views", {})
    if not isinstance(views, dict) or not all(re.fullmatch(r"\w+", view) and _is_size(views[view]) for view in views):
        raise ValueError(f"{layout.OWN_KEY}.views is {_shown(views)}, expected [height, width] by name")
    if not _is_int(own.get("max_pictured", 0), 0, LARGEST_PROMPT):
        raise ValueError(
            f"{layout.OWN_KEY}.max_pictured is {_shown(own['max_pictured'])}, expected a whole number from 0 to "
            f"{LARGEST_PROMPT}"
        )
    if not isinstance(own.get("suite", ""), str):
        raise ValueError(f"{layout.OWN_KEY}.suite is {_shown(own['suite'])}, expected a name")


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 3e38


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_int(size, 1, LARGEST_FRAME) for size in value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
