"""Fingerprint of a dataset: differs whenever a file that is read changes; and the checksums of all files.

The fingerprint is quick: the size, inode and times of each file (of its target, if it is a link), and its end, where
parquet keeps its footer and which holds all of a small file. The end of a video is short, because there may be tens of
thousands. A change that keeps all of them is found by the checksums of `astra inspect dataset --full`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from astra.datasets.lerobot.video.index import FORMATS as VIDEOS
from astra.progress import tracked
from astra.storage.cached_arrays import checksum

PARTS = ("meta", "data", "videos")
WHOLE_FILE = 2**20
"""Size in bytes up to which a file is hashed whole, unless it is a video."""
END_OF_VIDEO = 2**12
"""Number of bytes at the end of a video that are hashed."""


def fingerprint(folder: Path, data_files: Sequence[Path], version: int) -> str:
    """Return the fingerprint of a dataset.

    Args:
        folder: The dataset.
        data_files: Its data files, wherever they lie.
        version: Number that differs whenever the same files are to be read in another way.

    Raises:
        OSError: if a file cannot be read.
    """
    digest = hashlib.sha256(json.dumps(version).encode())
    for name, path in _sources(folder, data_files):
        facts = path.stat()
        numbers = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
        digest.update(json.dumps([name, *numbers]).encode())
        digest.update(_end(path, facts.st_size))
    return digest.hexdigest()[:32]


def checksums(folder: Path, data_files: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of every file of a dataset, by its name.

    Raises:
        OSError: if a file cannot be read.
    """
    sources = _sources(folder, data_files)
    return {name: checksum(path) for name, path in tracked(sources, "hashing the files", len(sources), "files")}


def _sources(folder: Path, data_files: Sequence[Path]) -> list[tuple[str, Path]]:
    """List the files of a dataset with their names, sorted; links are followed."""
    found = {path for part in PARTS for path in _walk(folder / part)} | {path for path in data_files if path.is_file()}
    return sorted((os.path.relpath(path, folder), path) for path in found)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, also behind links, but not a folder inside of itself."""
    seen: set[Path] = set()
    for parent, children, names in os.walk(folder, followlinks=True):
        resolved = Path(parent).resolve()
        if resolved in seen:
            children.clear()
            continue
        seen.add(resolved)
        yield from (path for name in names if (path := Path(parent) / name).is_file())


def _end(path: Path, size: int) -> bytes:
    """Return the whole of a small file, the footer of a parquet file, or the end of another one."""
    with path.open("rb") as file:
        length = min(size, END_OF_VIDEO if path.suffix.lower() in VIDEOS else WHOLE_FILE)
        if size > WHOLE_FILE and path.suffix == ".parquet":
            file.seek(size - 8)
            length = min(size, 8 + int.from_bytes(file.read(4), "little"))
        file.seek(size - length)
        return file.read(length)
