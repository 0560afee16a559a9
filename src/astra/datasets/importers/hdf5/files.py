"""HDF5 files that may hold anything: nothing is read before its kind, place and size are known.

A name in an HDF5 file may lead to another file, and data that were never written read as zeros. Both are refused, and
so is everything but plain numbers; objects and strings are never decoded.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from astra.storage.json_file import check_regular

SUFFIXES = (".hdf5", ".h5")
LARGEST_ARRAY = 2**33
"""Largest array that is read, in bytes when unpacked."""
COPY_AGAIN = "copy the file again"
_UNREADABLE = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""Errors that h5py raises for damaged files."""


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
    """Return a group or an array inside a group, which must lie in the same file.

    Raises:
        ValueError: if it is missing, or a link to another place.
    """
    import h5py

    for part in name.split("/"):
        try:
            link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
            if isinstance(link, h5py.HardLink):
                group = group[part]
                continue
        except _UNREADABLE as error:
            raise ValueError(f"{where}: {name!r} cannot be read ({error}); {COPY_AGAIN}") from error
        if link is None:
            held = ", ".join(sorted(group)[:20]) if isinstance(group, h5py.Group) else "an array"
            raise ValueError(f"{where} has no {name!r}; it holds {held or 'nothing'}")
        raise ValueError(f"{where}: {name!r} is a link to another place, which is not followed; expected data")
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


def read_array(group: Any, name: str, where: str) -> np.ndarray:
    """Read an array of finite numbers.

    Args:
        group: An open file or a group in it.
        name: Path of the array in the group.
        where: Name of the group in messages.

    Raises:
        ValueError: if it is missing, holds no plain numbers, is too large, takes its values from other files, was not
            written completely, is damaged or not finite.
    """
    import h5py

    found, here = child(group, name, where), f"{where}, {name!r}"
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{here} is a group, expected an array of numbers")
    try:
        dtype, shape, chunks = found.dtype, found.shape, found.chunks
        stored, elsewhere = found.id.get_storage_size(), bool(found.external) or found.is_virtual
        written = found.id.get_num_chunks() if chunks else None
    except _UNREADABLE as error:
        raise ValueError(f"{here} cannot be read ({error}); {COPY_AGAIN}") from error
    if dtype.kind not in "biuf" or not shape:
        raise ValueError(f"{here} has the type {dtype} and the shape {shape}, expected an array of plain numbers")
    if elsewhere:
        raise ValueError(f"{here} lies in another file, which is not opened; expected its data in this file")
    size = dtype.itemsize * max(math.prod(shape), math.prod(chunks or ()))
    if size > LARGEST_ARRAY:
        raise ValueError(f"{here} has the shape {shape} and takes {size:,} bytes, expected at most {LARGEST_ARRAY:,}")
    if chunks is None:
        complete = stored >= dtype.itemsize * math.prod(shape)
    else:
        complete = written == math.prod(-(-length // part) for length, part in zip(shape, chunks, strict=True))
    if not complete:
        raise ValueError(f"{here} was not written completely, and would be read as zeros; {COPY_AGAIN}")
    try:
        values = np.asarray(found[()])
    except _UNREADABLE as error:
        raise ValueError(f"{here} is damaged ({error}); {COPY_AGAIN}") from error
    if dtype.kind == "f":
        finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if not finite.all():
            raise ValueError(f"{here}: NaN or infinite value at row {int(finite.argmin())}; repair the file")
    return values


def read_vectors(group: Any, name: str, where: str) -> np.ndarray:
    """Read an array with one vector of numbers per timestep, as float64.

    Raises:
        ValueError: if it has another shape, or for the reasons of `read_array`.
    """
    values = read_array(group, name, where)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{where}, {name!r} has the shape {values.shape}, expected (timesteps, numbers)")
    return values.astype(np.float64)


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
