"""Features of a frozen encoder, computed once per frame and memory-mapped from the cache of the dataset.

They lie beside the cached columns, so a changed dataset gets new ones. The file name contains the camera and a key of
the encoder, so other weights or another image size get new ones too.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt8

from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.progress import tracked
from astra.storage.cached_arrays import ArrayForm, file_name, open_array

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
        ValueError: if the dataset was not opened from disk.
        OSError: if the limit of the cache or the disk leaves too little space.
    """
    frames = dataset.columns[camera]
    if dataset.cache is None:
        raise ValueError("features are cached for datasets on disk only: open the dataset with LeRobotDataset.open")
    name = f"{camera}.{key}"
    found = open_array(dataset.cache.folder / file_name(name))
    if found is not None and found.ndim == 2 and len(found) == len(frames) and found.dtype == np.float32:
        return found
    form = ArrayForm((len(frames), encode(np.array(frames[:1])).shape[1]), np.float32)
    return dataset.cache.arrays({name: form}, lambda arrays: _encode_all(frames, encode, arrays[name], camera))[name]


def _encode_all(
    frames: np.ndarray, encode: Callable[[np.ndarray], np.ndarray], features: np.ndarray, camera: str
) -> None:
    starts = range(0, len(frames), FRAMES_AT_ONCE)
    for start in tracked(starts, f"encoding {camera} once", len(starts), "batches"):
        features[start : start + FRAMES_AT_ONCE] = encode(np.array(frames[start : start + FRAMES_AT_ONCE]))
