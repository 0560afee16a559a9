"""Checksum of info.json, which has no other protection: a changed bit in a bound of an action is still valid JSON.

It lies beside info.json in the form of `sha256sum`, so that `sha256sum -c` knows it. Datasets of other programs have
none.
"""

import hashlib
import warnings
from pathlib import Path

from astra.datasets.lerobot import layout

LARGEST = 4096
"""Largest file with a checksum that is read, in bytes."""


def write_checksum(folder: Path) -> None:
    """Write the checksum of a dataset's info.json."""
    text = f"{_checksum(folder / layout.INFO)}  {Path(layout.INFO).name}\n"
    (folder / layout.INFO_CHECKSUM).write_text(text, encoding="utf-8")


def warn_of_changes(folder: Path) -> None:
    """Warn if info.json has a checksum and another content than that.

    It is no error, since bounds or a frame rate may be corrected by hand.
    """
    path = folder / layout.INFO_CHECKSUM
    if not path.is_file() or path.stat().st_size > LARGEST:
        return
    if path.read_bytes().split(maxsplit=1)[:1] != [_checksum(folder / layout.INFO).encode()]:
        warnings.warn(
            f"{folder / layout.INFO} was changed after Astra wrote it (its checksum differs): if that was not meant, "
            f"copy the dataset again; if it was, remove {path}",
            stacklevel=2,
        )


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
