"""Places at which nothing new can be written: datasets, what exists already, and folders without permission."""

import errno
import os
from pathlib import Path

DATASET_FILE = Path("meta") / "info.json"
"""File by which the folder of a dataset is known."""


def check_place(folder: Path, advice: str) -> None:
    """Check that a folder may be written: it is no dataset and not inside one, whose files would get mixed with it.

    Args:
        folder: The folder, which need not exist.
        advice: Words for what to do, such as "choose another folder with --output".

    Raises:
        ValueError: if it is a dataset or inside one.
        PermissionError: if this account may not write there.
    """
    for place in (folder, *folder.absolute().parents):
        if (place / DATASET_FILE).exists():
            what = "is a dataset" if place is folder else f"is inside the dataset {place}"
            raise ValueError(f"{folder} {what}: {advice}")
    check_writable(folder)


def check_new(output: Path) -> None:
    """Check that nothing lies where a command is to write, before it begins.

    Raises:
        FileExistsError: if something does.
        PermissionError: if this account may not write there.
    """
    if output.exists():
        raise FileExistsError(f"{output} exists already: choose another folder with --output, or remove it first")
    check_writable(output)


def check_writable(output: Path) -> None:
    """Check that this account may write a file or folder, which need not exist.

    Raises:
        PermissionError: if it may not; the error names the folder that forbids it.
    """
    place = next(each for each in (output.absolute(), *output.absolute().parents) if each.is_dir())
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
