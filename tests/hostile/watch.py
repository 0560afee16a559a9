"""Watch over a process: writes and removals outside its folder, sockets, other programs, pickled objects."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REMOVALS = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.chmod": 1, "shutil.rmtree": 1}
"""Events that change what lies at the first argument."""
PAIRS = {"os.rename", "os.link", "os.symlink"}
SOCKETS = {"socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request"}
PROGRAMS = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Record of what this process does from now on that hostile input must not bring about.

    Args:
        inside: folder in which everything may be written.
        untouched: folders below it in which nothing may be written, such as a dataset.
    """

    def __init__(self, inside: Path, untouched: Sequence[Path] = ()) -> None:
        self.inside = os.path.realpath(inside) + os.sep
        self.untouched = tuple(os.path.realpath(path) + os.sep for path in untouched)
        self.seen: list[str] = []
        self._busy = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            self._note(event, arguments)
        finally:
            self._busy = False

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                self._check_place(event, path)
        elif event in REMOVALS:
            self._check_place(event, arguments[0])
        elif event in PAIRS:
            self._check_place(event, arguments[1])
            if event == "os.rename":
                self._check_place(event, arguments[0])
        elif event in SOCKETS or (event in PROGRAMS and not _is_git(arguments)):
            self.seen.append(f"{event} {arguments!r}")

    def _check_place(self, event: str, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike) or os.fspath(path) in ("/dev/null", b"/dev/null"):
            return
        folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
        place = os.path.join(os.path.realpath(folder), name)  # a link that is removed is not followed
        if not place.startswith(self.inside) or place.startswith(self.untouched):
            self.seen.append(f"{event} {place}")


def _is_git(arguments: tuple[Any, ...]) -> bool:
    """Whether a program is git, by which Astra finds its own version."""
    return bool(arguments) and os.path.basename(os.fsdecode(str(arguments[0]))) == "git"
