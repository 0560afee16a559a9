"""Files of named tensors: safetensors with a SHA-256 in the header, and every error as one message.

A file by itself can be whole and still belong to another checkpoint. Whoever writes several files that belong together
records the checksums that `save_tensors` returns, and gives them to `load_tensors`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Size, Tensor, uint8

from astra.storage.json_file import check_regular

CHECKSUM = "sha256"
"""Key of the checksum in the header. Files without it, such as those of other programs, are read unchecked."""
CHECKSUMS = "checksums"
"""Key of the checksums of tensor files by their names, in the JSON beside them; absent in what older versions wrote."""
UNREADABLE = (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OverflowError)
"""Exceptions of safetensors on damaged files."""


def save_tensors(tensors: dict[str, Tensor], path: Path) -> str:
    """Write named tensors to a file with normal permissions, and return their checksum.

    Raises:
        OSError: if it cannot be written, such as to a full disk.
    """
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checksum = _checksum(stored)
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(stored, path, metadata={CHECKSUM: checksum})
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        raise OSError(
            f"{path} cannot be written ({error}): free space on its disk, or choose another folder"
        ) from error
    path.chmod(mode)
    return checksum


def load_tensors(path: Path, recorded: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
    """Read named tensors from a file, onto the CPU.

    Args:
        path: The file.
        recorded: Checksums by file name that were recorded when the files beside this one were written. A file that is
            not among them, as in folders of older versions, is checked by itself alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or is not the one that was recorded.
    """
    _check_present(path)
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            expected = (file.metadata() or {}).get(CHECKSUM)
    except UNREADABLE as error:
        raise _damaged(path, error) from error
    checksum = _checksum(tensors)
    if expected is not None and expected != checksum:
        raise ValueError(f"{path} is damaged: its content differs from its checksum. Copy it again or use another file")
    if recorded and recorded.get(path.name, checksum) != checksum:
        raise ValueError(
            f"{path} belongs to another checkpoint: its content differs from the checksum that was recorded when the "
            f"files beside it were written. Copy the whole checkpoint again"
        )
    return tensors


def recorded_checksums(description: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the checksums of tensor files that a JSON file records; none if it is of an older version.

    Raises:
        ValueError: if the entry is no mapping.
    """
    checksums = description.get(CHECKSUMS, {})
    if not isinstance(checksums, dict):
        raise ValueError(f"{path} has the checksums {checksums!r}, expected one for each file: copy it again")
    return checksums


def tensor_shapes(path: Path) -> dict[str, Size]:
    """Read the shape of each tensor from the header, without reading the tensors.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged.
    """
    _check_present(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _check_present(path: Path) -> None:
    check_regular(path, "copy it again or use another file")


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged or cut short ({error}): copy it again or use another file")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(uint8).numpy().data)
    return digest.hexdigest()
