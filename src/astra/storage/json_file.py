"""JSON files that may hold anything: nothing is read before kind and size are known, and every error is one message."""

import json
import reprlib
from pathlib import Path
from typing import Any

MAX_BYTES = 64 * 2**20
"""Size of the largest file that is read, unless the caller allows more."""
POINTER, LARGEST_POINTER = b"version https://git-lfs", 1024
"""Beginning of the text that Git keeps in place of a large file, and more bytes than it has."""


def read_json(path: Path, what: str, advice: str, max_bytes: int = MAX_BYTES) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        what: Words for its content, such as "JSON of a policy".
        advice: Words for what to do if it is damaged.
        max_bytes: Size of the largest file that is read.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is a folder, a pipe or a device, too large, not JSON, or nested too deeply.
    """
    check_size(path, advice, max_bytes)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, UTF-8, digits or nesting
        raise ValueError(f"{path} is not valid {what} ({error}; truncated?): {advice}") from error


def read_json_object(path: Path, what: str, advice: str) -> dict[str, Any]:
    """Read a JSON file with an object at its top; see `read_json`.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it holds no JSON object.
    """
    value = read_json(path, what, advice)
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not valid {what}, got {reprlib.repr(value)}, expected an object: {advice}")
    return value


def check_size(path: Path, advice: str, max_bytes: int) -> None:
    """Check that a path is a file of at most so many bytes.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is a folder, a pipe or a device, or larger.
    """
    check_regular(path, advice)
    if (size := path.stat().st_size) > max_bytes:
        raise ValueError(f"{path} has {size:,} bytes, expected at most {max_bytes:,}: {advice}")


def check_regular(path: Path, advice: str) -> None:
    """Check that a path is a file, so that reading it ends, and not a text that stands for the file in Git.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is a folder, a pipe or a device, or a pointer of Git LFS.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: {advice}")
    if not path.is_file():
        raise ValueError(f"{path} is not a regular file: {advice}")
    if path.stat().st_size <= LARGEST_POINTER:
        with path.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                raise ValueError(
                    f"{path} is only a pointer of Git LFS to the file: run git lfs pull in its repository, or name the "
                    "dataset or model by its id on the Hugging Face Hub, which downloads it"
                )
