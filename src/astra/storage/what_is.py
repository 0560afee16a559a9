"""Contents of a folder in words, for messages to somebody who named it where another kind of folder is needed."""

import shlex
from pathlib import Path

from astra.storage.places import DATASET_FILE

NAMED = 4
"""Number of folders that a message names."""


def what_is(folder: Path) -> str:
    """Return what a folder holds and what to do with it, as the end of a sentence; empty: nothing that Astra knows."""
    quoted = shlex.quote(str(folder))
    if (folder / DATASET_FILE).is_file():
        return f"it is a dataset: look at it with astra inspect dataset {quoted}, train on it with --dataset"
    if _is_run(folder) or (folder / "model.safetensors").is_file():
        return f"it is a policy: look at it with astra inspect checkpoint {quoted}"
    inside = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    for kind, found in (
        ("runs", [each for each in inside if _is_run(each)]),
        ("datasets", [each for each in inside if (each / DATASET_FILE).is_file()]),
    ):
        if found:
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            return f"it holds the {kind} {', '.join(map(str, found[:NAMED]))}{more}: name one of them"
    return ""


def _is_run(folder: Path) -> bool:
    return (folder / "checkpoints" / "last" / "policy" / "model.safetensors").is_file()
