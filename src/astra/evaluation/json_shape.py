"""Read JSON files of a run that other hands may have written, checked against the shape that the reader relies on.

A shape is written as an example of the file:

    {"agent": str, "seeds": [int], "scores": {ANY_NAME: float}, "video_path": (str, None)}

An object may have further fields. A tuple lists alternatives; `float` accepts integers, but no NaN and no infinity.
"""

import json
import math
from pathlib import Path
from typing import Any

from astra.storage import json_file
from astra.storage.json_checksum import take_checksum

ANY_NAME = "*"
"""Key of a shape that stands for every name in the object."""
MAX_BYTES = 256 * 2**20
"""Largest file that is read."""


def read_json(path: Path, shape: Any, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        shape: shape that the content must have.
        remedy: what the user can do about a wrong file, such as "write it again with astra evaluate RUN".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON, larger than 256 MB, of another shape, or changed since Astra wrote it; the message
            names the field.
    """
    content = json_file.read_json(path, "JSON", remedy, MAX_BYTES)
    if problem := _difference(content, shape, ""):
        raise ValueError(f"{path} cannot be used: {problem}; {remedy}")
    return take_checksum(content, path, remedy) if isinstance(content, dict) else content


def _difference(value: Any, shape: Any, where: str) -> str:
    """Return what is wrong, in words; empty if nothing is."""
    if isinstance(shape, tuple):
        problems = [_difference(value, each, where) for each in shape]
        return "" if "" in problems else problems[0]
    if isinstance(shape, dict):
        return _difference_of_object(value, shape, where)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(value, "a list", where)
        return next(filter(None, (_difference(v, shape[0], f"{where}[{n}]") for n, v in enumerate(value))), "")
    if shape is None:
        return "" if value is None else _wrong(value, "null", where)
    if shape is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return "" if number else _wrong(value, "a finite number", where)
    if not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
        names = {str: "a text", int: "an integer", bool: "true or false"}
        return _wrong(value, names[shape], where)
    return ""


def _difference_of_object(value: Any, shape: dict[str, Any], where: str) -> str:
    if not isinstance(value, dict):
        return _wrong(value, "an object with names", where)
    if ANY_NAME in shape:
        expected = dict.fromkeys(value, shape[ANY_NAME])
    elif missing := [name for name in shape if name not in value]:
        return f"{where or 'the file'} lacks {', '.join(map(repr, missing))}"
    else:
        expected = shape
    return next(
        filter(None, (_difference(value[name], each, f"{where}.{name}".strip(".")) for name, each in expected.items())),
        "",
    )


def _wrong(value: Any, expected: str, where: str) -> str:
    return f"{where or 'the file'} is {json.dumps(value)[:60]}, expected {expected}"
