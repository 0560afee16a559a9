"""Entry point of `astra COMMAND ...`; every command has --help.

Exit codes: 0 for success, 1 if `astra inspect dataset` finds something wrong, 2 for bad input or a full disk (after one
message that says what to do), 130 for Ctrl-C, 143 for SIGTERM.
"""

import errno
import importlib
import linecache
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager

from astra import __version__
from astra.cli.flags.help import listing
from astra.cli.flags.messages import name_flags
from astra.cli.names import nearest
from astra.parallel.interruption import Terminated, sigterm_raises

COMMANDS = {
    "experiments": "list the named experiments",
    "train": "train the policy of a named experiment",
    "evaluate": "evaluate a trained policy in its simulator",
    "compare": "train and evaluate every row of a table of the paper, and print it beside the paper's numbers",
    "collect": "collect demonstrations from a scripted expert",
    "convert": "convert demonstrations from another format",
    "inspect": "print a mask, policy sizes, a dataset, a checkpoint, or what a policy has learned",
    "view": "show episodes, and what a policy predicts along them, in the viewer Rerun",
    "report": "write the results of a run to one self-contained report.html",
    "export": "export the control step as a program that runs without Astra",
    "benchmark": "measure speed and memory against other implementations",
    "cache": "list or clear the cached columns and features of datasets",
    "demo": "collect, train, evaluate and report, in minutes",
}
"""Every command with its purpose. The command NAME is run by `astra.cli.NAME.run`, which may return an exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: command and its arguments; None: those of the process.
    """
    try:
        with sigterm_raises(), one_line_warnings():
            code = _run(list(sys.argv[1:] if arguments is None else arguments))
            _flush()
            return code
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):  # by Rich
            raise
        return _refuse(CLOSED_OUTPUT)
    except BrokenPipeError:
        return _refuse(CLOSED_OUTPUT)
    except Terminated as error:
        print(error, file=sys.stderr)
        return 143
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, MemoryError, RecursionError, BrokenExecutor, *_library_errors()) as error:
        if os.environ.get("ASTRA_TRACEBACK"):
            raise
        return _refuse(name_flags(explanation(error)) + ("" if _is_explained(error) else UNEXPECTED))


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"astra {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        return _refuse(f"there is no command {command!r}{nearest(command, COMMANDS)}\n\n{_usage()}")
    return importlib.import_module(f"astra.cli.{command}").run(rest) or 0


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print warnings as one line each, without the place in the source from which they come."""

    def written(message: Warning | str, *place: object, **line: object) -> str:
        del place, line
        return f"warning: {name_flags(' '.join(str(message).split()))}\n"

    before, warnings.formatwarning = warnings.formatwarning, written
    try:
        yield
    finally:
        warnings.formatwarning = before


CLOSED_OUTPUT = "the output was closed before its end: let its reader read all of it, or write it to a file"

REMEDIES = {
    errno.ENOSPC: "the disk is full. What was complete before is kept: free space, then repeat the command",
    errno.EDQUOT: "the disk quota is used up. What was complete before is kept: free space, then repeat the command",
    errno.EFBIG: "the file is larger than this account or file system allows: raise the limit (ulimit -f), then repeat "
    "the command",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "permission denied: choose another folder, or ask its owner for the permission",
    errno.EPERM: "permission denied: choose another folder, or ask its owner for the permission",
    errno.EEXIST: "there is something of this name already: choose another name or folder",
    errno.EISDIR: "this is a folder: name a file",
    errno.EIO: "the disk failed to read or write: check it, then repeat the command",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), then repeat the command",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ELOOP: "its links lead in a circle: choose another folder",
}
"""Cause and remedy, by the error number of the system."""


def explanation(error: BaseException) -> str:
    """Return one message for an error: its own words, or what the system's error number or its type means."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (named := re.search(r"os error (\d+)", str(error))):  # by safetensors, which is in Rust
        number = int(named[1])
    if number in REMEDIES:
        place = error.filename if isinstance(error, OSError) else None
        return f"{place}: {REMEDIES[number]}" if place is not None else REMEDIES[number]
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    if isinstance(error, RecursionError):
        return "a file is nested too deeply to be read: use a file that Astra or LeRobot wrote"
    if isinstance(error, BrokenExecutor):
        return "a worker process died, often from lack of memory: repeat the command with fewer --workers"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory ({error}): use smaller batches, sizes or fewer workers"
    return str(error) or type(error).__name__


UNEXPECTED = """
This message is not one of Astra's. `ASTRA_TRACEBACK=1 astra ...` shows where it comes from. If your input is right,
please report a bug."""


def _is_explained(error: BaseException) -> bool:
    """Return False for a ValueError that no `raise` of Astra has worded: a library's, or a bug's."""
    if not isinstance(error, ValueError) or error.__traceback__ is None:
        return True
    if type(error.__cause__).__name__ == "_RemoteTraceback":
        return True  # of a worker process, whose frames are text here
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    source = linecache.getline(frame.f_code.co_filename, line)
    return frame.f_globals["__name__"].split(".")[0] == "astra" and source.lstrip().startswith("raise")


def _library_errors() -> tuple[type[BaseException], ...]:
    """Return the exceptions of libraries that bad files or a full disk raise; only of imported libraries."""
    places = {"safetensors": "SafetensorError", "pyarrow": "ArrowException", "av": "FFmpegError"}
    places |= {"torch": "OutOfMemoryError", "zlib": "error", "zipfile": "BadZipFile", "tarfile": "TarError"}
    return tuple(getattr(sys.modules[module], name) for module, name in places.items() if module in sys.modules)


def _refuse(message: str) -> int:
    try:
        _flush()
    except OSError:  # Python would try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    print(f"astra: {message}", file=sys.stderr)
    return 2


def _flush() -> None:
    if sys.stdout is not None:  # None: closed before the start
        sys.stdout.flush()


def _usage() -> str:
    usage = ["usage: astra COMMAND ...", "       astra --version", "", listing(COMMANDS), ""]
    return "\n".join([*usage, "`astra COMMAND --help` lists the options of a command."])


if __name__ == "__main__":
    sys.exit(main())
