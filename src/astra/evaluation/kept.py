"""An evaluation as `results/` keeps it: aggregates as text, lists per episode compressed.

eval_info.json      everything but the lists per episode, one line for each field and item
episodes.json.gz    those lists: `episodes`, `seeds`, and the `metrics` of each entry of `per_task`
"""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astra.evaluation.eval_info import FILE_NAME
from astra.storage.json_checksum import CHECKSUM, take_checksum, with_checksum
from astra.storage.json_file import check_size, read_json_object

EPISODES = "episodes.json.gz"
LISTS = ("episodes", "seeds")
LARGEST = 256 * 2**20
"""Largest file of lists that is read, in bytes when unpacked."""
RESTORE = "restore both files"
"""Remedy for a changed evaluation."""
POINTER = "lists_per_episode"
"""Field of `eval_info.json` that names the compressed file."""


def write_kept(info: Mapping[str, Any], folder: Path) -> None:
    """Write an evaluation into a folder, in two files; equal evaluations give equal bytes."""
    lists: dict[str, Any] = {name: info[name] for name in LISTS if name in info}
    tasks = info.get("per_task", [])
    if any("metrics" in task for task in tasks):
        lists["metrics"] = [task["metrics"] for task in tasks]
    rest = {name: value for name, value in info.items() if name not in (*LISTS, CHECKSUM)}
    if "per_task" in info:
        rest["per_task"] = [{name: value for name, value in task.items() if name != "metrics"} for task in tasks]
    if lists:
        rest[POINTER] = EPISODES
        text = json.dumps(lists, separators=(",", ":"), allow_nan=False)
        (folder / EPISODES).write_bytes(gzip.compress(text.encode(), mtime=0))
    rest[CHECKSUM] = with_checksum(info)[CHECKSUM]
    (folder / FILE_NAME).write_text(_one_line_each(rest))


def read_kept(folder: Path) -> dict[str, Any]:
    """Read an evaluation from its folder, with the lists per episode if they were kept.

    Raises:
        OSError: if a file is missing, or the compressed one is damaged.
        ValueError: if a file is not valid JSON, is too large, names another file for the lists, or was changed.
        KeyError: if a list is missing.
    """
    info = read_json_object(folder / FILE_NAME, "JSON", RESTORE)
    if POINTER not in info:
        return take_checksum(info, folder / FILE_NAME, RESTORE)
    if (named := info.pop(POINTER)) != EPISODES:
        raise ValueError(f"{folder / FILE_NAME} names {named!r} for the {POINTER}, expected {EPISODES}")
    lists = json.loads(_unpacked(folder / EPISODES))
    if "metrics" in lists:
        metrics = lists.pop("metrics")
        info["per_task"] = [task | {"metrics": each} for task, each in zip(info["per_task"], metrics, strict=True)]
    return take_checksum(info | lists, folder / FILE_NAME, RESTORE)


def _unpacked(path: Path) -> bytes:
    check_size(path, RESTORE, LARGEST)
    with gzip.open(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path} unpacks to more than {LARGEST:,} bytes")
    return content


def _one_line_each(info: Mapping[str, Any]) -> str:
    fields = [f"{json.dumps(name)}: {_lines(value)}" for name, value in info.items()]
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _lines(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}"
    return json.dumps(value)
