"""Atomic writes: files and folders that are complete or missing, even if the process is killed."""

import errno
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Unfinished:
    """Hidden folder `.NAME.unfinished-*` beside a folder that is to be written, held by this process while it lives.

    Args:
        folder: folder to be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = secrets.token_hex(4)
        self.path = folder.with_name(f".{folder.name}.unfinished-{self._token}")
        self._descriptor = -1

    def create(self) -> None:
        """Create the hidden folder, after removing those that killed processes left; living processes keep theirs."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.parent.glob(f".{glob.escape(self._folder.name)}.unfinished-*"):
            _remove_unless_held(leftover)
        new = self._folder.with_name(f".{self._folder.name}.new-{self._token}")  # nobody removes it before it is held
        new.mkdir()
        self._descriptor = os.open(new, os.O_RDONLY)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        new.rename(self.path)

    def finish(self) -> None:
        """Sync all files, with the usual permissions, and rename the folder to its final name; on an error, remove it.

        Raises:
            FileExistsError: if the final folder exists by now; the hidden folder then stays.
        """
        try:
            self._sync()
            if not self._folder.exists():
                self.path.rename(self._folder)
                sync(self._folder.parent)
        except BaseException:
            self.remove()
            raise
        os.close(self._descriptor)
        if self.path.exists():
            raise FileExistsError(
                f"{self._folder} was created by someone else meanwhile; what was written is complete in {self.path}: "
                f"rename that folder"
            )

    def remove(self) -> None:
        """Remove the hidden folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)

    def _sync(self) -> None:
        mask = os.umask(0o077)  # Python can only read it by setting it
        os.umask(mask)
        for path in (*self.path.rglob("*"), self.path):
            if path.is_file() and not path.is_symlink():
                path.chmod(0o666 & ~mask)
            sync(path)


@contextmanager
def atomic_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes `folder` when the block ends.

    It is an `Unfinished` folder. A killed process leaves it there; the next attempt removes it.

    Args:
        folder: folder to be written.
        replace: whether an existing folder is replaced, as late as possible; otherwise it is an error.

    Raises:
        FileExistsError: if the folder exists.
    """
    if folder.exists() and not replace:
        raise FileExistsError(f"{folder} exists already: choose another folder, or remove it first")
    unfinished = Unfinished(folder)
    unfinished.create()
    try:
        yield unfinished.path
    except BaseException:
        unfinished.remove()
        raise
    if replace:
        shutil.rmtree(folder, ignore_errors=True)
    unfinished.finish()


def write_atomic(path: Path, content: bytes) -> Path:
    """Write a file under a temporary name, sync and rename it; create its folder if needed. Return its path.

    Raises:
        IsADirectoryError: if the path is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _remove_unless_held(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # held by its process, or on a file system without locks
        pass
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Sync the content of a file, or the list of names of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
