"""Importer of Diffusion Policy's replay buffers: zarr stores, v2 or v3, of data and episode ends.

A store is a folder, or a .tar or .zip file of one.
Source: https://github.com/real-stanford/diffusion_policy, `diffusion_policy/common/replay_buffer.py`.
"""

import math
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astra.datasets.episode import Episode, is_camera
from astra.datasets.importers.zarr_chunks import check_chunks
from astra.datasets.importers.zarr_header import NAMES, find_header, read_header
from astra.storage.json_file import check_regular

LARGEST_FACTOR, SLACK = 20, 2**26
"""Largest size of an unpacked .zip file, as a multiple of the file and in bytes beside it."""
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""Errors that zarr and its codecs raise for damaged stores."""

VECTORS = {"state": "observation.state", "action": "action"}
"""Arrays that are read by default, and the columns they become."""


def read_diffusion_policy_zarr(
    store: str | Path, *, instruction: str, fps: float = 10.0, columns: Mapping[str, str] = VECTORS
) -> Iterator[Episode]:
    """Read a replay buffer, one episode at a time.

    Args:
        store: A zarr folder, or a .tar or .zip file of one.
        instruction: Instruction of all episodes; the store has none.
        fps: Timesteps per second; the store does not record them.
        columns: Column name of each array to read, such as {"img": "observation.image"}. Vectors are flattened per
            timestep to float32, frames become uint8.

    Raises:
        FileNotFoundError: if the store does not exist.
        ModuleNotFoundError: if zarr is not installed.
        ValueError: if the store is truncated, or lacks an array or a part of one.
    """
    store = Path(store)
    if not store.exists():
        raise FileNotFoundError(f"{store} does not exist; expected a zarr folder, or a .tar or .zip file of one")
    if store.is_dir():
        yield from _read(store, instruction, fps, columns)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield from _read(_extract(store, Path(folder), columns), instruction, fps, columns)


def _extract(archive: Path, into: Path, columns: Mapping[str, str]) -> Path:
    """Extract the wanted arrays and return the folder of the store."""
    check_regular(archive, "copy the store again")
    kind = ".zip" if archive.suffix == ".zip" or zipfile.is_zipfile(archive) else ".tar"
    try:
        if kind == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                root, wanted = _wanted(archive, zipped.namelist(), columns)
                _check_unpacked(archive, sum(zipped.getinfo(name).file_size for name in wanted))
                zipped.extractall(into, wanted)
        else:
            with tarfile.open(archive) as tar:
                members = {member.name: member for member in tar.getmembers()}
                root, wanted = _wanted(archive, list(members), columns)
                tar.extractall(into, [members[name] for name in wanted], filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, LookupError, RecursionError, zlib.error) as error:
        raise ValueError(f"{archive} is not a valid {kind} file (truncated?): {error}; copy it again") from error
    except RuntimeError as error:  # encrypted, or compressed by a method that zipfile lacks
        raise ValueError(f"{archive} cannot be unpacked ({error}): unpack it, and convert the folder") from error
    return into / root


def _wanted(archive: Path, names: Sequence[str], columns: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return where the store begins in an archive, and the members that are read."""
    inside = [name for name in names if not name.startswith("/") and ".." not in name.split("/")]
    groups = [name for name in inside if name.split("/")[-1] in (".zgroup", "zarr.json")]
    if not groups:
        raise ValueError(f"{archive} holds no zarr store; expected a file .zgroup or zarr.json in it")
    first = min(groups, key=len)
    root = first.removesuffix(first.split("/")[-1])
    parts = (".z", "zarr.json", "meta/", "data/.z", "data/zarr.json", *(f"data/{name}/" for name in columns))
    return root, [name for name in dict.fromkeys(inside) if name.startswith(tuple(root + part for part in parts))]


def _check_unpacked(archive: Path, size: int) -> None:
    """Check that an archive does not unpack to far more than it is; zarr's chunks are compressed already."""
    limit = LARGEST_FACTOR * archive.stat().st_size + SLACK
    if size > limit:
        raise ValueError(f"{archive} unpacks to {size:,} bytes, expected at most {limit:,}: unpack it yourself")


def _read(store: Path, instruction: str, fps: float, columns: Mapping[str, str]) -> Iterator[Episode]:
    arrays = {name: _open(store, f"data/{name}") for name in columns}
    ends = _slice(_open(store, "meta/episode_ends"), 0, None, f"{store}, array 'episode_ends'")
    if ends.ndim != 1 or len(ends) == 0 or (np.diff(ends, prepend=0) <= 0).any():
        raise ValueError(f"{store}: episode_ends is {ends.tolist()}, expected increasing numbers of timesteps")
    for name, array in arrays.items():
        if array.shape[0] != ends[-1]:
            raise ValueError(
                f"{store}: array {name!r} has {array.shape[0]} timesteps, but the episodes end at {ends[-1]}"
            )
    for index, (start, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
        where = {name: f"{store}, array {name!r}, episode {index}" for name in columns}
        values = {
            column: _convert(column, _slice(arrays[name], start, end, where[name]), where[name])
            for name, column in columns.items()
        }
        yield Episode(instruction=instruction, columns=values, fps=fps)


def _open(store: Path, name: str) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ModuleNotFoundError("reading zarr stores needs zarr: pip install '.[zarr]' in Astra's folder") from error
    where = f"{store}, array {name!r}"
    if find_header(store / name) is None:
        raise ValueError(f"{store} has no array {name!r}, so it is not a replay buffer of Diffusion Policy")
    header = read_header(store / name, where)
    check_chunks(store / name, header.codec, header.chunk_bytes)
    try:
        array = zarr.open_array(store / name, mode="r", zarr_format=header.version)
    except _UNREADABLE as error:
        raise ValueError(
            f"{where}: its {NAMES[header.version]} cannot be used ({error}); copy the store again"
        ) from error
    if array.nchunks_initialized < array.nchunks:
        raise ValueError(
            f"{store}: array {name!r} has {array.nchunks_initialized} of {array.nchunks} zarr chunks, and zarr would "
            "read the others as zeros: copy the whole store again, or, if it was written without its empty chunks, "
            "write it again with config={'write_empty_chunks': True}"
        )
    return array


def _slice(array: Any, start: int, end: int | None, where: str) -> np.ndarray:
    try:
        return np.asarray(array[start:end])
    except _UNREADABLE as error:
        raise ValueError(f"{where}: a zarr chunk is damaged ({error}); copy the store again") from error


def _convert(column: str, values: np.ndarray, where: str) -> np.ndarray:
    if not is_camera(column):
        with np.errstate(over="ignore"):
            return values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float32)
    frames = values.astype(np.uint8)
    if not np.array_equal(frames, values):
        raise ValueError(f"{where}: pixels are {values.min()} to {values.max()}, expected whole numbers from 0 to 255")
    return frames
