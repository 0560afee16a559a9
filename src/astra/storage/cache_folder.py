"""The user's cache: one entry per source, such as a dataset; `astra cache` lists and clears them.

    ROOT/KEY/entry.json     marker of an entry with its source; its time is that of the last use
    ROOT/KEY/lock           held by the process that fills or removes the entry
    ROOT/KEY/NAME.npy       cached arrays, see `cached_arrays.py`

ROOT is the environment variable ASTRA_CACHE, or `astra` in the user's cache directory. Beyond the limit of
ASTRA_CACHE_GB the entries that were used least recently are removed, but never one that a process has open. Only
folders with the marker are ever removed, and nothing that belongs to another account is read.
"""

import errno
import fcntl
import json
import math
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from astra.storage.atomic import write_atomic

DEFAULT_GIGABYTES = 50.0
MARKER = "entry.json"
LOCK = "lock"
UNFINISHED = "unfinished"
FORMAT = 1
ADVICE = "set ASTRA_CACHE to a folder of your own on a disk with more space"


class CacheFullError(OSError):
    """Error if the limit of the cache or the disk leaves too little space."""


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """One entry of the cache."""

    folder: Path
    """Folder of the entry."""
    source: str
    """Source of its contents, such as the folder of a dataset."""
    size: int
    """Size in bytes, with what is being written."""
    last_used: float
    """Time of the last use, in seconds since 1970."""


def cache_root() -> Path:
    """Return the folder of all entries: ASTRA_CACHE, or `astra` in the user's cache directory."""
    chosen = os.environ.get("ASTRA_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else platformdirs.user_cache_path("astra")


def size_limit() -> int:
    """Return the limit of the cache in bytes, from ASTRA_CACHE_GB.

    Raises:
        ValueError: if the variable is not a positive number.
    """
    text = os.environ.get("ASTRA_CACHE_GB") or str(DEFAULT_GIGABYTES)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 < gigabytes < math.inf:
        raise ValueError(f"got ASTRA_CACHE_GB={text!r}, expected a positive number of gigabytes, such as 50")
    return int(gigabytes * 1e9)


def use_entry(key: str, source: Path) -> Path:
    """Return the folder of an entry, which need not exist yet, and note the use.

    Raises:
        ValueError: if the cache would lie inside the source, or ASTRA_CACHE_GB is not a positive number.
        OSError: if the folder belongs to another account.
    """
    root = cache_root()
    size_limit()
    if root.is_relative_to(source.resolve()):
        raise ValueError(f"the cache {root} would lie inside {source}: set ASTRA_CACHE to a folder outside of it")
    folder = root / key
    _check_own(folder)
    if is_own(folder / MARKER, stat.S_ISREG):
        with suppress(FileNotFoundError):  # removed in this moment
            os.utime(folder / MARKER)
    return folder


@contextmanager
def filled_entry(folder: Path, source: Path) -> Iterator[None]:
    """Hold the lock of an entry to fill it; the entry is created if needed.

    Raises:
        OSError: if the folder cannot be written, or belongs to another account.
    """
    with locked(folder):
        if not is_own(folder / MARKER, stat.S_ISREG):
            content = {"astra_cache": FORMAT, "source": str(source.resolve())}
            write_atomic(folder / MARKER, json.dumps(content).encode())
        os.utime(folder / MARKER)
        yield


def entries() -> list[CacheEntry]:
    """Return the entries of this account, the least recently used first."""
    found = [entry for folder in cache_root().glob("*") if (entry := _read_entry(folder)) is not None]
    return sorted(found, key=lambda entry: (entry.last_used, str(entry.folder)))


def is_in_use(folder: Path) -> bool:
    """Whether a process has the entry open or fills it."""
    with ExitStack() as stack:
        return not _lock_all(folder, stack)


def remove_entry(folder: Path) -> bool:
    """Remove an entry unless a process uses it; return whether it was removed."""
    with ExitStack() as stack:
        if _read_entry(folder) is None or not _lock_all(folder, stack):
            return False
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
        names = [path.name for path in folder.iterdir() if path.name not in (MARKER, LOCK) and not path.is_dir()]
        for name in (*names, MARKER, LOCK):  # the marker goes late: what a killed process leaves is still an entry
            (folder / name).unlink(missing_ok=True)
        try:
            folder.rmdir()
        except OSError as error:  # holds a folder of someone else, or is being made anew
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    return True


def make_room(folder: Path, needed: int, what: str) -> None:
    """Remove earlier states of the same source, and then the least recently used entries until the limit is kept.

    Args:
        folder: The entry that is to grow.
        needed: Number of bytes.
        what: Description of them, for the message.

    Raises:
        CacheFullError: if the limit or the disk leaves too little space. What exceeds the limit alone removes nothing.
    """
    limit, listed = size_limit(), entries()
    total = sum(entry.size for entry in listed)
    own = sum(entry.size for entry in listed if entry.folder == folder)
    if own + needed > limit:
        listed, total = [], own
    source = next((entry.source for entry in listed if entry.folder == folder), None)
    others = [entry for entry in listed if entry.folder != folder]
    for entry in sorted(others, key=lambda entry: entry.source != source):
        if (entry.source == source or total + needed > limit) and remove_entry(entry.folder):
            total -= entry.size
    if total + needed > limit:
        raise CacheFullError(
            f"the cache of {what} takes {gigabytes(needed)}, but {gigabytes(total)} of the limit of "
            f"{gigabytes(limit)} are in use: set ASTRA_CACHE_GB to a higher limit, or read fewer columns"
        )
    if needed > (free := shutil.disk_usage(folder).free):
        raise CacheFullError(
            f"the cache of {what} takes {gigabytes(needed)}, but the disk of {folder.parent} has only "
            f"{gigabytes(free)} free: {ADVICE}"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an entry, or of the whole cache: one process at a time fills it or makes room.

    Raises:
        OSError: if the folder cannot be written, or belongs to another account.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_own(folder)
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            if error.errno == errno.ENOENT and cache_root().is_dir():  # removed in this moment
                continue
            raise OSError(f"cannot use the cache {folder}: {error}; {ADVICE}") from error
        try:
            _wait_for(descriptor, folder)
            if is_present(descriptor, folder / LOCK):
                yield
                return
        finally:
            os.close(descriptor)


def try_lock(path: Path, kind: int) -> int | None:
    """Open a file and lock it; return its descriptor, or None if it is missing, not ours, locked or just removed.

    Args:
        path: The file; a link is not followed.
        kind: `fcntl.LOCK_SH` to use it, `fcntl.LOCK_EX` to remove it.
    """
    if not is_own(path, stat.S_ISREG):
        return None
    try:
        descriptor = os.open(path, (os.O_RDWR if kind == fcntl.LOCK_EX else os.O_RDONLY) | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        if is_present(descriptor, path) and os.fstat(descriptor).st_uid == os.geteuid():
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def is_present(descriptor: int, path: Path) -> bool:
    """Whether a path still names the open file, rather than nothing or a newer file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def is_own(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether a path is a file or folder of this account, not a link."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return kind(facts.st_mode) and facts.st_uid == os.geteuid()


def gigabytes(size: int) -> str:
    """Return a size in words, such as "1.2 GB" or "34 MB"."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{math.ceil(size / 1e6):,} MB"


def _wait_for(descriptor: int, folder: Path) -> None:
    """Lock an open file, after a message if another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if folder != cache_root():
            print(f"waiting for another process that fills the cache {folder}", file=sys.stderr)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise OSError(f"cannot lock files in {folder}: {error}; set ASTRA_CACHE to a folder on a local disk") from error


def _check_own(folder: Path) -> None:
    if folder != cache_root() and os.path.lexists(folder) and not is_own(folder, stat.S_ISDIR):
        raise PermissionError(f"{folder} is a link or belongs to another account, so it is not believed; {ADVICE}")


def _read_entry(folder: Path) -> CacheEntry | None:
    """Return an entry, or None if the folder has no marker of ours."""
    if not is_own(folder, stat.S_ISDIR) or not is_own(folder / MARKER, stat.S_ISREG):
        return None
    try:
        content = json.loads((folder / MARKER).read_bytes())
        used = (folder / MARKER).stat().st_mtime
        size = _size(folder)
    except (OSError, ValueError, RecursionError):
        return None
    match content:
        case {"astra_cache": int(), "source": str(source)}:
            return CacheEntry(folder=folder, source=source, size=size, last_used=used)
    return None


def _size(folder: Path) -> int:
    """Return the size of an entry's files; one that is moved into it meanwhile counts once."""
    sizes = {}
    for part in (folder / UNFINISHED, folder):  # in the order of the move
        with suppress(FileNotFoundError):
            for name in os.listdir(part):
                with suppress(FileNotFoundError):
                    facts = (part / name).lstat()
                    sizes[facts.st_ino] = facts.st_size
    return sum(sizes.values())


def _lock_all(folder: Path, stack: ExitStack) -> bool:
    """Lock an entry and all its arrays until the stack closes; return whether nobody else holds one of them."""
    arrays = [path for path in folder.glob("*.npy") if is_own(path, stat.S_ISREG)]
    for path in (folder / LOCK, *arrays):
        descriptor = try_lock(path, fcntl.LOCK_EX)
        if descriptor is None:
            return False
        stack.callback(os.close, descriptor)
    return True
