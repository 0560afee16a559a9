"""Verification of a dataset and its cache byte by byte, for changes that leave sizes, times and footers alone."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from astra.datasets.lerobot.cache import SOURCES, DatasetCache
from astra.datasets.lerobot.fingerprint import checksums
from astra.storage.cache_folder import remove_entry
from astra.storage.cached_arrays import damaged_arrays


def verify(folder: Path, data_files: Sequence[Path]) -> list[tuple[str, str]]:
    """Hash all files of a dataset and of its cache, and drop the cache if they are not those that were cached.

    Args:
        folder: The dataset.
        data_files: Its data files.

    Returns:
        One checksum for the whole dataset, by which copies are compared, and the state of the cache, as rows of
        (name, value).

    Raises:
        OSError: if a file cannot be read, or the cache has to be dropped and a process has it open.
    """
    found = checksums(folder, data_files)
    total = hashlib.sha256(json.dumps(sorted(found.items())).encode()).hexdigest()
    cache = DatasetCache.of(folder, data_files).folder
    recorded = _recorded(cache)
    changed = [name for name in sorted({*found, *recorded}) if recorded and found.get(name) != recorded.get(name)]
    changed += [f"the cached {name}" for name in damaged_arrays(cache)]
    rows = [(f"SHA-256 of all {len(found):,} files", total)]
    if not changed:
        return [*rows, ("cache", "equal to the files" if recorded else "made now")]
    if not remove_entry(cache):
        raise OSError(
            f"{', '.join(changed)} of {folder} changed since it was cached, but a process has the cache {cache} open: "
            "stop that process and try again"
        )
    return [*rows, ("cache", f"made again, because what was read is not what is there: {', '.join(changed)}")]


def _recorded(cache: Path) -> dict[str, str]:
    """Return the checksums of the files when they were cached; none if nothing was."""
    try:
        return dict(json.loads((cache / SOURCES).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return {}
