"""Conversion of frozen dataclasses to JSON and back, checked against their annotations.

A dataclass becomes an object whose `kind` is the name of its class, which selects the member of a union. Tuples become
lists, and mappings become objects with string keys. Numbers, strings, booleans and None stay as they are.
"""

import dataclasses
import json
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from astra.storage.json_checksum import take_checksum


def to_json(value: Any) -> Any:
    """Convert a configuration to plain values for `json.dumps`.

    Raises:
        ValueError: if a value has an unsupported type, or a field is named `kind`.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if "kind" in fields:
            raise ValueError(
                f"{type(value).__name__} has a field `kind`, which is the key of the class name: rename it"
            )
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, (bool, int, float, str, NoneType)):
        return value
    raise ValueError(
        f"got {value!r} in a configuration, expected a dataclass, mapping, tuple, list, number, string, bool or None"
    )


MAX_BYTES = 1 << 26
"""Size of the largest JSON file that is read."""


def read_json(path: Path, what: str, advice: str) -> dict[str, Any]:
    """Read a JSON object from a file that may hold anything.

    Args:
        path: The file.
        what: Words for its content, such as "JSON of a policy".
        advice: Words for what to do if it is damaged.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is not a JSON object, or was changed since Astra wrote it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {advice}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is not valid {what}, it has more than {MAX_BYTES >> 20} MiB: {advice}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, UTF-8, digits or nesting
        raise ValueError(f"{path} is not valid {what} ({error}; truncated?): {advice}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not valid {what}, got {_short(value)} instead of an object: {advice}")
    return take_checksum(value, path, advice)


def from_json(annotation: Any, value: Any, where: str = "config") -> Any:
    """Convert JSON back to a value of the annotated type.

    Args:
        annotation: a dataclass, or a type made of dataclasses, tuples, mappings, unions, literals and plain types.
        value: output of `to_json`.
        where: name of the value, for error messages.

    Raises:
        ValueError: if the value does not fit; the message names the place.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if dataclasses.is_dataclass(annotation):
        return _dataclass(annotation, value, where)
    if origin in (Union, UnionType):
        return _member(arguments, value, where)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        if len(kinds) == len(value):
            return tuple(from_json(kinds[i], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {key: from_json(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if annotation is float and type(value) is int and abs(value) < 1 << 1000:
        return float(value)
    finite = not isinstance(value, float) or math.isfinite(value)
    if (type(value) is annotation and finite) or (annotation is None and value is None):
        return value
    raise ValueError(f"{where}: expected {_written(annotation)}, got {_short(value)}")


def _dataclass(annotation: Any, value: Any, where: str) -> Any:
    name = annotation.__name__
    if not isinstance(value, dict) or value.get("kind") != name:
        got = value.get("kind") if isinstance(value, dict) else value
        raise ValueError(f"{where}: expected an object with kind {name!r}, got {_short(got)}")
    hints = get_type_hints(annotation)
    known = {field.name for field in dataclasses.fields(annotation)}
    if unknown := sorted(value.keys() - known - {"kind"}):
        raise ValueError(
            f"{where}: {name} has no field {', '.join(unknown)}; was it written by another version of Astra?"
        )
    needed = {
        field.name
        for field in dataclasses.fields(annotation)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := sorted(needed - value.keys()):
        raise ValueError(f"{where}: {name} needs {', '.join(missing)}")
    return annotation(**{key: from_json(hints[key], value[key], f"{where}.{key}") for key in value if key != "kind"})


def _member(members: tuple[Any, ...], value: Any, where: str) -> Any:
    kind = value.get("kind") if isinstance(value, dict) else None
    kind = kind if isinstance(kind, str) else None
    for member in members:
        if dataclasses.is_dataclass(member):
            if kind == getattr(member, "__name__", None):
                return _dataclass(member, value, where)
        elif kind is None:
            try:
                return from_json(member, value, where)
            except ValueError:
                continue
    raise ValueError(f"{where}: expected one of {', '.join(map(_written, members))}, got {_short(kind or value)}")


def _short(value: Any) -> str:
    """Write a value that may be very long or deeply nested."""
    return reprlib.repr(value)


def _written(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
