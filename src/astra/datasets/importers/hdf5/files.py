"""HDF5 files that may hold anything: no link leads out of the file, and nothing is read before its size is known."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from astra.storage.json_file import check_regular

SUFFIXES = (".hdf5", ".h5")
LARGEST_ARRAY = 2**33
"""Largest array of an episode that is read, in bytes."""
COPY_AGAIN = "copy the file again"


def find_files(source: Path) -> list[Path]:
    """Return a file itself, or the HDF5 files of a folder, sorted by the numbers in their names.

    Raises:
        FileNotFoundError: if there is none.
    """
    if source.is_file():
        return [source]
    found = [path for path in source.glob("*") if path.suffix in SUFFIXES] if source.is_dir() else []
    if not found:
        raise FileNotFoundError(
            f"{source} is neither an HDF5 file nor a folder with any: expected {' or '.join(SUFFIXES)}"
        )
    return sorted(found, key=lambda path: in_order(path.stem))


def in_order(name: str) -> tuple[int, str]:
    """Return a key that sorts demo_10 after demo_9."""
    digits = "".join(character for character in name if character.isdigit())
    return int(digits[:18] or -1), name


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file for reading; errors of HDF5 in the caller's block become one message.

    Raises:
        FileNotFoundError: if the file is missing.
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if it is no HDF5 file, or damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise ModuleNotFoundError("reading HDF5 files needs h5py: pip install '.[hdf5]' in Astra's folder") from error
    check_regular(path, COPY_AGAIN)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a complete HDF5 file (truncated?): {error}; {COPY_AGAIN}") from error


def child(group: Any, name: str, where: str) -> Any:
    """Return a group or an array inside a group.

    Raises:
        ValueError: if it is missing, or a link that leads out of the file.
    """
    import h5py

    for part in name.split("/"):
        is_group = isinstance(group, h5py.Group)
        link = group.get(part, getlink=True) if is_group else None
        if link is None:
            held = ", ".join(list(group)[:20]) if is_group else "an array in its place"
            raise ValueError(f"{where} has no {name}; it has {held or 'nothing'}")
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{where}: {name} is a link to another file, {link.filename!r}, which is not followed")
        group = group[part]
    return group


def arrays_of(group: Any, where: str, prefix: str = "") -> dict[str, Any]:
    """Return all arrays below a group by their paths in it."""
    import h5py

    found = {}
    for name in group:
        item = child(group, name, where)
        found |= (
            arrays_of(item, where, f"{prefix}{name}/") if isinstance(item, h5py.Group) else {f"{prefix}{name}": item}
        )
    return found


def read_array(array: Any, where: str) -> np.ndarray:
    """Read an array of numbers.

    Raises:
        ValueError: if it holds no plain numbers, is too large, or takes its values from other files.
    """
    if not hasattr(array, "dtype"):
        raise ValueError(f"{where} is a group, expected an array of numbers")
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise ValueError(f"{where} holds {array.dtype} of shape {array.shape}, expected arrays of numbers")
    if array.external or array.is_virtual:
        raise ValueError(f"{where} takes its values from other files, which are not read: write it into one file")
    if array.nbytes > LARGEST_ARRAY:
        raise ValueError(f"{where} takes {array.nbytes:,} bytes, expected at most {LARGEST_ARRAY:,} per episode")
    try:
        return np.asarray(array[()])
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{where} is damaged ({error}); {COPY_AGAIN}") from error


def attribute(item: Any, path: Sequence[str]) -> Any:
    """Return an attribute, or an entry of the JSON that it holds; None if there is none.

    Args:
        item: Group.
        path: Name of the attribute, and of the entries in its JSON.
    """
    value = item.attrs.get(path[0])
    value = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
    if len(path) == 1 or not isinstance(value, str):
        return value if len(path) == 1 else None
    try:
        found: Any = json.loads(value)
    except (ValueError, RecursionError):
        return None
    for name in path[1:]:
        found = found.get(name) if isinstance(found, dict) else None
    return found
