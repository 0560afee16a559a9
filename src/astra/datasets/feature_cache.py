"""What a frozen encoder makes of every frame, computed once and memory-mapped from the dataset's cache.

It lies beside the columns, in the folder that is named by the dataset's state, so that changed data get a new one. The
file is named by the camera and by a key of the encoder, so that other weights or another image size do too.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from rich.progress import track

from astra.datasets.lerobot.cache import cache_folder
from astra.datasets.lerobot.columns import check_room
from astra.datasets.lerobot.dataset import LeRobotDataset

FRAMES_AT_ONCE = 64


def cached_features(
    dataset: LeRobotDataset,
    camera: str,
    key: str,
    encode: Callable[[UInt8[np.ndarray, "frames _ _ 3"]], Float32[np.ndarray, "frames F"]],
) -> Float32[np.ndarray, "rows F"]:
    """Map the features of a camera's frames read-only, one row per timestep.

    Args:
        dataset: The opened dataset.
        camera: Its column of frames.
        key: Differs wherever `encode` would give something else.
        encode: Called with all frames, a few at a time, where the cache does not hold them yet.

    Raises:
        OSError: if the disk has no room for the cache.
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
    check_room(path.parent, 4 * len(frames) * first.shape[1], camera)
    features = np.lib.format.open_memmap(path, "w+", np.float32, (len(frames), first.shape[1]))
    starts = range(0, len(frames), FRAMES_AT_ONCE)
    for start in track(starts, description=f"encoding {camera} once", transient=True):
        features[start : start + FRAMES_AT_ONCE] = encode(np.array(frames[start : start + FRAMES_AT_ONCE]))
    features.flush()
    return path
