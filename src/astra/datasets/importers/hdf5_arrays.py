"""Arrays of numbers in HDF5 files of strangers: nothing is read before its kind, place and size are known.

A name in an HDF5 file may lead to another file, and data that were never written read as zeros. Both are refused, and
so is everything but plain numbers; objects and strings are never decoded.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

LARGEST = 2**31
"""Largest array that is read, in bytes when unpacked."""
INSTALL = "reading HDF5 files needs h5py: pip install '.[hdf5]' in Astra's folder"
_UNREADABLE = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""Errors that h5py raises for damaged files."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading.

    Raises:
        FileNotFoundError: if there is no such file.
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if it is no HDF5 file, or a truncated one.
    """
    try:
        import h5py
    except ImportError as error:
        raise ModuleNotFoundError(INSTALL) from error
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected an HDF5 file")
    try:
        file = h5py.File(path, "r")
    except _UNREADABLE as error:
        raise ValueError(f"{path} is not a valid HDF5 file (truncated?): {error}; copy it again") from error
    with file:
        yield file


def member(group: Any, name: str, where: str) -> Any:
    """Return an entry of a group, which must lie in the same file.

    Raises:
        ValueError: if there is none, or it is a link to somewhere else.
    """
    import h5py

    try:
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if isinstance(link, h5py.HardLink):
            return group[name]
    except _UNREADABLE as error:
        raise ValueError(f"{where}: {name!r} cannot be read ({error}); copy the file again") from error
    if link is not None:
        raise ValueError(f"{where}: {name!r} is a link to another place, which is not followed; expected data")
    held = ", ".join(sorted(group)[:10]) if isinstance(group, h5py.Group) else "an array"
    raise ValueError(f"{where} has no {name!r}; it holds {held or 'nothing'}")


def numbers_in(group: Any, name: str, where: str) -> np.ndarray:
    """Read an array of finite numbers.

    Args:
        group: An open file or a group in it.
        name: Name of the array in the group.
        where: Name of the group in messages.

    Raises:
        ValueError: if it is missing, of another kind, too large, not written completely, damaged or not finite.
    """
    import h5py

    found, here = member(group, name, where), f"{where}, {name!r}"
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{here} is a group, expected an array of numbers")
    try:
        dtype, shape, chunks = found.dtype, found.shape, found.chunks
        stored, elsewhere = found.id.get_storage_size(), bool(found.external) or found.is_virtual
        written = found.id.get_num_chunks() if chunks else None
    except _UNREADABLE as error:
        raise ValueError(f"{here} cannot be read ({error}); copy the file again") from error
    if dtype.kind not in "biuf" or not shape:
        raise ValueError(f"{here} has the type {dtype} and the shape {shape}, expected an array of plain numbers")
    if elsewhere:
        raise ValueError(f"{here} lies in another file, which is not opened; expected its data in this file")
    size = dtype.itemsize * max(math.prod(shape), math.prod(chunks or ()))
    if size > LARGEST:
        raise ValueError(f"{here} has the shape {shape} and takes {size:,} bytes, expected at most {LARGEST:,}")
    if chunks is None:
        complete = stored >= dtype.itemsize * math.prod(shape)
    else:
        complete = written == math.prod(-(-length // part) for length, part in zip(shape, chunks, strict=True))
    if not complete:
        raise ValueError(f"{here} was not written completely, and would be read as zeros; copy the file again")
    try:
        values = np.asarray(found[()])
    except _UNREADABLE as error:
        raise ValueError(f"{here} is damaged ({error}); copy the file again") from error
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        raise ValueError(f"{here}: NaN or infinite value at row {int(finite.argmin())}; repair the file")
    return values


def vectors_in(group: Any, name: str, where: str) -> np.ndarray:
    """Read an array with one vector of numbers per timestep, as float64.

    Raises:
        ValueError: if it has another shape, or for the reasons of `numbers_in`.
    """
    values = numbers_in(group, name, where)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{where}, {name!r} has the shape {values.shape}, expected (timesteps, numbers)")
    return values.astype(np.float64)
