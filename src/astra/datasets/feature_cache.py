"""Features of a frozen encoder, computed once per frame and memory-mapped from the dataset's cache.

They lie beside the cached columns, so a changed dataset gets new ones. The file name contains the camera and a key of
the encoder, so other weights or another image size get new ones too.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from rich.progress import track

from astra.datasets.lerobot.cache import cache_folder, check_disk_space
from astra.datasets.lerobot.dataset import LeRobotDataset

FRAMES_AT_ONCE = 64


def cached_features(
    dataset: LeRobotDataset,
    camera: str,
    key: str,
    encode: Callable[[UInt8[np.ndarray, "frames _ _ 3"]], Float32[np.ndarray, "frames F"]],
) -> Float32[np.ndarray, "rows F"]:
    """Return the features of a camera's frames as a read-only memory map, one row per timestep.

    Args:
        dataset: The opened dataset.
        camera: Name of its column of frames.
        key: Key of the encoder; differs whenever `encode` would return other features.
        encode: Function from a batch of frames to features; called only if the cache does not hold them yet.

    Raises:
        OSError: if the disk has no space for the cache.
    """
    frames = dataset.columns[camera]
    cache = cache_folder(dataset.folder)
    path = cache / f"{camera}.{key}.npy"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            _encode_all(frames, encode, Path(unfinished) / path.name, camera).replace(path)
    return np.load(path, mmap_mode="r")


def _encode_all(frames: np.ndarray, encode: Callable[[np.ndarray], np.ndarray], path: Path, camera: str) -> Path:
    first = encode(np.array(frames[:1]))
    check_disk_space(path.parent, 4 * len(frames) * first.shape[1], camera)
    features = np.lib.format.open_memmap(path, "w+", np.float32, (len(frames), first.shape[1]))
    starts = range(0, len(frames), FRAMES_AT_ONCE)
    for start in track(starts, description=f"encoding {camera} once", transient=True):
        features[start : start + FRAMES_AT_ONCE] = encode(np.array(frames[start : start + FRAMES_AT_ONCE]))
    features.flush()
    return path
