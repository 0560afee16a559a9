"""Files of named tensors: safetensors with a SHA-256 in the header, and every error as one message."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Size, Tensor, uint8

CHECKSUM = "sha256"
"""Key of the checksum in the header. Files without it, such as those of other programs, are read unchecked."""
UNREADABLE = (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OverflowError)
"""Exceptions of safetensors on damaged files."""


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write named tensors to a file with normal permissions.

    Raises:
        OSError: if it cannot be written, such as to a full disk.
    """
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(stored, path, metadata={CHECKSUM: _checksum(stored)})
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        raise OSError(
            f"{path} cannot be written ({error}): free space on its disk, or choose another folder"
        ) from error
    path.chmod(mode)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors from a file, onto the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged.
    """
    _check_present(path)
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            expected = (file.metadata() or {}).get(CHECKSUM)
    except UNREADABLE as error:
        raise _damaged(path, error) from error
    if expected is not None and expected != _checksum(tensors):
        raise ValueError(f"{path} is damaged: its content differs from its checksum. Copy it again or use another file")
    return tensors


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
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged or cut short ({error}): copy it again or use another file")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(uint8).numpy().data)
    return digest.hexdigest()
