"""Lock on a file, so that one process at a time works on what the file stands for."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock until the block or the process ends, even by SIGKILL; the file is removed after the block.

    Args:
        path: file to lock, in an existing folder.
        what: name for error messages of what is locked.

    Raises:
        ValueError: if another process holds the lock.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise BlockingIOError  # its last holder removed it meanwhile
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise ValueError(
                f"another process works on {what} ({holder}): wait until it ends, or choose another folder"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
