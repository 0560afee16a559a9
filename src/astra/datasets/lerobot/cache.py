"""Columns of parquet files as memory-mapped arrays, derived once and kept in `cache/` inside the dataset.

The cache is named by a digest of the source files' sizes and times, so a changed dataset gets a new one. Where the
dataset cannot be written, the cache lies in the machine's folder for temporary files.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from astra.datasets.episode import PARTS
from astra.datasets.lerobot.columns import write_columns
from astra.datasets.lerobot.metadata import Metadata
from astra.datasets.lerobot.prompts import StoredPrompts, write_prompts

CACHE_FORMAT = 1


def cached_columns(folder: Path, metadata: Metadata) -> dict[str, np.ndarray]:
    """Map every column read-only: vectors float32 (rows, n), frames uint8 (rows, height, width, 3).

    Raises:
        FileNotFoundError: if a data file is missing.
        ValueError: naming the episode and the column, if rows are missing or a value is NaN, infinite or no image.
        OSError: if the disk has no room for the cache.
    """
    cache = cache_folder(folder)
    missing = [column for column in metadata.columns if not (cache / f"{column}.npy").exists()]
    if missing:
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            for path in write_columns(metadata, missing, Path(unfinished)):
                path.replace(cache / path.name)
    return {column: np.load(cache / f"{column}.npy", mmap_mode="r") for column in metadata.columns}


def cached_prompts(folder: Path, metadata: Metadata) -> StoredPrompts | None:
    """Map the pictures of all prompts read-only; None: there are none, or no objects are wanted.

    Raises:
        FileNotFoundError: if the file of prompts is missing.
        ValueError: naming the prompt, if a part of it has the wrong length.
    """
    if metadata.prompts is None or metadata.spec.objects is None:
        return None
    cache, views = cache_folder(folder), tuple(metadata.spec.objects.views)
    missing = [v for v in views if not all((cache / f"prompts.{v}.{part}.npy").exists() for part in PARTS)]
    if missing:
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            for path in write_prompts(folder, metadata.pictured, missing, Path(unfinished)):
                path.replace(cache / path.name)
    arrays = {
        view: {part: np.load(cache / f"prompts.{view}.{part}.npy", mmap_mode="r") for part in PARTS} for view in views
    }
    return StoredPrompts.open(metadata.prompts, metadata.pictured, arrays)


def cache_folder(folder: Path) -> Path:
    """Make the folder for what is derived from this state of the dataset, and remove those of earlier ones."""
    sources = sorted(path for part in ("meta", "data") for path in (folder / part).rglob("*") if path.is_file())
    facts = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    root = folder / "cache"
    if not _can_write(root):
        root = Path(tempfile.gettempdir()) / f"astra-cache-{os.getuid()}" / _digest(str(folder.resolve()))
    cache = root / f"astra-{_digest([CACHE_FORMAT, facts])}"
    cache.mkdir(parents=True, exist_ok=True)
    for earlier in root.glob("astra-*"):
        if earlier != cache:
            shutil.rmtree(earlier, ignore_errors=True)
    return cache


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _can_write(root: Path) -> bool:
    try:
        root.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return True
    except OSError:
        return False
