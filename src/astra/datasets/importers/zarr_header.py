"""Descriptions of zarr arrays, v2 and v3, checked before zarr reads them: plain numbers of a known size, known codecs.

Codecs of objects can run code of whoever wrote the store, and those of libraries that are not installed fail late.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from astra.storage.json_file import read_json_object

CODECS = ("blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "delta", "shuffle", "fixedscaleoffset")
"""Codecs of numbers in zarr v2; others are refused."""
COMPRESSORS = ("blosc", "gzip", "zstd")
"""Compressors in zarr v3; others are refused."""
TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
"""Types of numbers in zarr v3."""
LARGEST_CHUNK = 2**30
"""Largest zarr chunk that is read, in bytes when unpacked."""
NAMES = {2: ".zarray", 3: "zarr.json"}
"""Name of the description of an array in each version."""
ADVICE = "copy the store again"


@dataclass(frozen=True)
class ZarrHeader:
    """Facts about an array, known before its chunks are read."""

    version: Literal[2, 3]
    """Version of zarr's format."""
    chunk_bytes: int
    """Bytes of a chunk when unpacked."""
    codec: str | None
    """Codec that compresses chunks; None: none."""


def find_header(folder: Path) -> Path | None:
    """Return the description of an array of either version; None if there is none."""
    return next((folder / name for name in NAMES.values() if (folder / name).exists()), None)


def read_header(folder: Path, where: str) -> ZarrHeader:
    """Read and check the description of an array.

    Args:
        folder: Folder of the array, which has a description.
        where: Store and array, for messages.

    Raises:
        ValueError: if the array holds no plain numbers, is too large, or names a codec that is not read.
    """
    path = find_header(folder)
    assert path is not None
    header = read_json_object(path, "JSON", ADVICE)
    return _version_2(header, where) if path.name == NAMES[2] else _version_3(header, where)


def _version_2(header: Mapping[str, Any], where: str) -> ZarrHeader:
    dtype = header.get("dtype")
    if not isinstance(dtype, str) or not re.fullmatch(r"[<>|=]?[biuf][1248]", dtype):
        raise ValueError(f"{where} has the dtype {dtype!r}, expected plain numbers, such as '<f4'")
    size = _chunk_bytes(header.get("shape"), header.get("chunks"), np.dtype(dtype).itemsize, where)
    filters = header.get("filters") or []
    compressor = header.get("compressor")
    names = [_name(codec, "id") for codec in [*(filters if isinstance(filters, list) else [filters]), compressor]]
    for name in names:
        if name is not None and name not in CODECS:
            raise ValueError(f"{where} uses the codec {name!r}, expected one of {', '.join(CODECS)}: write it again")
    return ZarrHeader(2, size, names[-1])


def _version_3(header: Mapping[str, Any], where: str) -> ZarrHeader:
    if header.get("node_type") != "array" or header.get("storage_transformers"):
        raise ValueError(f"{where}: zarr.json does not describe a plain array, got {header.get('node_type')!r}")
    dtype, grid, codecs = header.get("data_type"), header.get("chunk_grid"), header.get("codecs")
    if dtype not in TYPES:
        raise ValueError(f"{where} has the data_type {dtype!r}, expected plain numbers, such as 'float32'")
    if _name(grid, "name") != "regular":
        raise ValueError(f"{where} has the chunk_grid {_name(grid, 'name')!r}, expected 'regular': write it again")
    names = [_name(codec, "name") for codec in codecs] if isinstance(codecs, list) else []
    if "sharding_indexed" in names:
        raise ValueError(
            f"{where} is sharded (codec 'sharding_indexed'), which is not read: write it again without shards, by "
            "zarr.create_array(..., data=old[:], shards=None)"
        )
    compressors = [name for name in names if name not in ("bytes", "transpose")]
    if wrong := [name for name in compressors if name not in COMPRESSORS]:
        raise ValueError(
            f"{where} uses the codec {wrong[0]!r}, expected one of bytes, transpose, {', '.join(COMPRESSORS)}: write "
            "it again"
        )
    if names.count("bytes") != 1 or len(compressors) > 1:
        raise ValueError(f"{where} has the codecs {names}, expected bytes and at most one of {', '.join(COMPRESSORS)}")
    configuration = grid.get("configuration") if isinstance(grid, dict) else None
    chunks = configuration.get("chunk_shape") if isinstance(configuration, dict) else None
    return ZarrHeader(
        3,
        _chunk_bytes(header.get("shape"), chunks, np.dtype(dtype).itemsize, where),
        compressors[0] if compressors else None,
    )


def _name(item: Any, key: str) -> Any:
    """Return the name of a codec or grid, which stands alone or in a dictionary."""
    return item.get(key) if isinstance(item, dict) else item


def _chunk_bytes(shape: Any, chunks: Any, itemsize: int, where: str) -> int:
    """Check shapes and return the number of bytes of a chunk."""
    for key, sizes, least in (("shape", shape, 0), ("chunks", chunks, 1)):
        if not isinstance(sizes, list) or not sizes or any(type(n) is not int or n < least for n in sizes):
            raise ValueError(f"{where} has the {key} {sizes!r}, expected a list of whole numbers of at least {least}")
    if len(shape) != len(chunks) or math.prod(chunks) * itemsize > LARGEST_CHUNK:
        raise ValueError(
            f"{where} has the shape {shape} in chunks of {chunks}, expected chunks with as many axes and at most "
            f"{LARGEST_CHUNK:,} bytes"
        )
    return math.prod(chunks) * itemsize
