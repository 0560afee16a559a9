"""Cached arrays: .npy files of an entry of the cache, filled by one process and memory-mapped by all.

A file is believed if it is ours, complete and of the expected form; otherwise it is written again. A mapped file is
locked for as long as any view of it lives, so that nobody removes it from the cache meanwhile.
"""

import fcntl
import hashlib
import math
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from astra.storage.atomic import sync
from astra.storage.cache_folder import (
    ADVICE,
    MARKER,
    UNFINISHED,
    cache_root,
    filled_entry,
    gigabytes,
    is_own,
    locked,
    make_room,
    try_lock,
    use_entry,
)
from astra.storage.npy_errors import NPY_ERRORS

ANNOUNCED_FROM = 1e8
"""Size in bytes from which a cache is announced before it is filled."""
ZEROS = 2**20


@dataclass(frozen=True)
class ArrayForm:
    """Shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: type[np.generic]

    @property
    def size(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def cached_arrays(
    key: str,
    source: Path,
    forms: Mapping[str, ArrayForm],
    fill: Callable[[Mapping[str, np.ndarray]], None],
) -> dict[str, np.ndarray]:
    """Return arrays of an entry as read-only memory maps; those that are missing are created and filled first.

    Args:
        key: Name of the entry; differs whenever the contents would.
        source: Folder of which the entry is made.
        forms: Form of each array, by name.
        fill: Function that fills the missing arrays, given by name; they are kept if it returns.

    Raises:
        OSError: if the limit of the cache or the disk leaves too little space.
    """
    folder = use_entry(key, source)
    arrays = _open_all(folder, forms)
    if arrays.keys() != forms.keys() or not is_own(folder / MARKER, stat.S_ISREG):
        with filled_entry(folder, source):
            arrays = _open_all(folder, forms)  # again: another process may have filled them
            missing = {name: form for name, form in forms.items() if name not in arrays}
            if missing:
                _fill(folder, missing, fill)
                arrays |= _open_all(folder, missing)
    if lost := [name for name in forms if name not in arrays]:
        raise OSError(f"the cache {folder} of {', '.join(lost)} was changed while it was opened; {ADVICE}")
    return {name: arrays[name] for name in forms}


def open_array(path: Path) -> np.ndarray | None:
    """Map a .npy file read-only; None if it is missing, incomplete, not ours or being removed."""
    descriptor = try_lock(path, fcntl.LOCK_SH)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        try:
            np.lib.format.read_magic(file)
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        except NPY_ERRORS:
            return None
        end = file.tell() + math.prod(shape) * dtype.itemsize
        if fortran_order or dtype.hasobject or end != os.fstat(descriptor).st_size or end == file.tell():
            return None
        return np.memmap(file, dtype, "r", file.tell(), shape)  # duplicates the descriptor and with it holds the lock


def create_array(path: Path, form: ArrayForm) -> np.memmap:
    """Create a .npy file and map it; its blocks are reserved, so that a full disk is an error and no SIGBUS.

    Raises:
        OSError: if the disk has no space.
    """
    dtype = np.dtype(form.dtype)
    with path.open("xb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": form.shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.flush()
        if sys.platform == "linux":
            os.posix_fallocate(file.fileno(), start, form.size)
        else:
            for written in range(0, form.size, ZEROS):
                file.write(bytes(min(ZEROS, form.size - written)))
    return np.memmap(path, dtype, "r+", start, form.shape)


def file_name(name: str) -> str:
    """Return the file of an array: its name without what could lead to another folder, at most 200 characters long."""
    safe = quote(name, safe="")
    return f"{safe if len(safe) <= 200 else hashlib.sha256(name.encode()).hexdigest()}.npy"


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged_arrays(folder: Path) -> list[str]:
    """Return the arrays of an entry whose content is not the one that was written."""
    return [
        path.stem
        for path in sorted(folder.glob("*.npy"))
        if not (recorded := path.with_suffix(".sha256")).exists() or recorded.read_text() != checksum(path)
    ]


def _open_all(folder: Path, forms: Mapping[str, ArrayForm]) -> dict[str, np.ndarray]:
    found = {name: open_array(folder / file_name(name)) for name in forms}
    return {
        name: array
        for name, array in found.items()
        if array is not None and array.shape == forms[name].shape and array.dtype == forms[name].dtype
    }


def _fill(folder: Path, forms: Mapping[str, ArrayForm], fill: Callable[[Mapping[str, np.ndarray]], None]) -> None:
    """Fill arrays under `unfinished/` and move them into the entry; the entry is locked by this process."""
    unfinished, what = folder / UNFINISHED, ", ".join(forms)
    needed = sum(form.size for form in forms.values())
    if needed >= ANNOUNCED_FROM:
        print(f"caching {what} once: {gigabytes(needed)} in {folder}", file=sys.stderr)
    shutil.rmtree(unfinished, ignore_errors=True)
    for name in forms:
        (folder / file_name(name)).unlink(missing_ok=True)
    try:
        with locked(cache_root()):  # until the space is reserved, so that two processes do not share it
            make_room(folder, needed, what)
            unfinished.mkdir()
            try:
                arrays = {name: create_array(unfinished / file_name(name), form) for name, form in forms.items()}
            except OSError as error:
                raise OSError(f"the cache of {what} takes {gigabytes(needed)}: {error}; {ADVICE}") from error
        fill(arrays)
        for array in arrays.values():
            array.flush()
        for name in forms:
            path = unfinished / file_name(name)
            path.with_suffix(".sha256").write_text(checksum(path))
            sync(path)
        for path in sorted(unfinished.iterdir(), reverse=True):  # the checksum before its array
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
