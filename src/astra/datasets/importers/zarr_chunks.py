"""Size of zarr chunks when unpacked, found before zarr unpacks them: a small file may hold gigabytes of zeros."""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from astra.datasets.importers.zarr_header import NAMES
from astra.storage.json_file import check_regular

LARGEST_FACTOR = 8
"""Largest size of a stored number, compared with the read one: filters may store other types, of up to 8 bytes."""
OVERHEAD = 2**16
"""Bytes by which a chunk that does not pack well may grow."""
BYTES_AT_ONCE = 2**20


def check_chunks(folder: Path, codec: str | None, expected: int) -> None:
    """Check that no chunk of an array unpacks to more than its array needs.

    Args:
        folder: Folder of the array.
        codec: Name of the codec that compresses chunks; None: none.
        expected: Number of bytes of a chunk by its header.

    Raises:
        OSError: if a file is missing or cannot be read.
        ValueError: if a file is a pipe or a device, or a chunk is too large or damaged; the message names it.
    """
    limit = LARGEST_FACTOR * expected
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        check_regular(path, "copy the store again")
        if not path.name.startswith(".") and path.name != NAMES[3]:
            try:
                too_large = path.stat().st_size > limit + OVERHEAD
                too_large = too_large or any(size > limit for size in _unpacked_sizes(path, codec, limit))
            except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
                raise ValueError(f"{path}: a zarr chunk is damaged ({error}); copy the store again") from error
            if too_large:
                raise ValueError(f"{path} unpacks to more than {limit:,} bytes, but its array needs {expected:,}")


def _unpacked_sizes(path: Path, codec: str | None, limit: int) -> Iterator[int]:
    """Yield the size of a chunk as far as it is known, until it is known or above the limit."""
    with path.open("rb") as file:
        match codec:
            case "blosc":  # the header has the size at byte 4
                yield int.from_bytes(file.read(8)[4:], "little")
            case "lz4":
                yield int.from_bytes(file.read(4), "little")
            case "zstd":
                with pa.CompressedInputStream(pa.PythonFile(file), "zstd") as stream:
                    yield from _sizes(iter(lambda: len(stream.read(BYTES_AT_ONCE)), 0))
            case "zlib" | "gzip":
                yield from _sizes(_inflated(file.read(), zlib.decompressobj(wbits=47), "unconsumed_tail", limit))
            case "bz2":
                yield from _sizes(_inflated(file.read(), bz2.BZ2Decompressor(), None, limit))
            case "lzma":
                yield from _sizes(_inflated(file.read(), lzma.LZMADecompressor(), None, limit))
            case _:
                yield path.stat().st_size


def _inflated(data: bytes, decompressor: Any, tail: str | None, limit: int) -> Iterator[int]:
    """Unpack at most `BYTES_AT_ONCE` at a time and yield how much it was."""
    total = 0
    while (size := len(decompressor.decompress(data, BYTES_AT_ONCE))) and total <= limit:
        total += size
        data = getattr(decompressor, tail) if tail is not None else b""
        yield size
        if decompressor.eof:
            return


def _sizes(parts: Iterator[int]) -> Iterator[int]:
    total = 0
    for size in parts:
        total += size
        yield total
