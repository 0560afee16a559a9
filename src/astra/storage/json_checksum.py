"""Checksum of a JSON object, stored in it: an object that was changed since Astra wrote it is refused.

The checksum covers the values, not their layout, so a file may be indented anew. Whoever edits a file on purpose
removes the entry `sha256`; files without it, such as older ones, are read unchecked.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astra.storage.json_file import read_json_object

CHECKSUM = "sha256"
"""Key of the checksum, the last entry of the object."""


def checked_json(content: Mapping[str, Any], *, allow_nan: bool = True) -> str:
    """Return the text of a JSON file with the checksum of its content.

    Raises:
        ValueError: if a number is NaN or infinite and `allow_nan` is not set.
    """
    return json.dumps(with_checksum(content), indent=2, allow_nan=allow_nan) + "\n"


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the checksum of its content as last entry."""
    plain = {name: value for name, value in content.items() if name != CHECKSUM}
    return {**plain, CHECKSUM: _checksum(plain)}


def take_checksum(content: dict[str, Any], path: Path, advice: str) -> dict[str, Any]:
    """Return an object without its checksum, after comparing it with the content; without one, as it is.

    Args:
        content: what the file holds.
        path: the file, for the message.
        advice: words for what to do about a damaged file.

    Raises:
        ValueError: if the content differs from the checksum.
    """
    plain = {name: value for name, value in content.items() if name != CHECKSUM}
    if CHECKSUM in content and content[CHECKSUM] != _checksum(plain):
        raise ValueError(
            f"{path} was changed after Astra wrote it, its content differs from its checksum: {advice}. If you edited "
            f'it on purpose, remove its entry "{CHECKSUM}"'
        )
    return plain


def read_checked_json(path: Path, what: str, advice: str) -> dict[str, Any]:
    """Read a JSON object that Astra wrote, without its checksum; see `astra.storage.json_file.read_json`.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it holds no JSON object, or its content differs from its checksum.
    """
    return take_checksum(read_json_object(path, what, advice), path, advice)


def _checksum(plain: Mapping[str, Any]) -> str:
    # Through text, so that tuples and numeric keys are what a reader finds.
    stored = json.loads(json.dumps(plain))
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
