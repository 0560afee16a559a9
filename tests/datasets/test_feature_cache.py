import os
from pathlib import Path

import numpy as np
import pytest

from astra.datasets import LeRobotDataset, Windows
from astra.datasets.feature_cache import cached_features

CAMERA = "observation.image"


class Encoder:
    """Encoder that returns each frame's first pixel and counts the frames."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        self.seen += len(frames)
        return frames[:, 0, 0].astype(np.float32)


def test_frames_are_encoded_once_until_the_data_or_the_encoder_change(dataset: LeRobotDataset) -> None:
    encoder = Encoder()
    features = cached_features(dataset, CAMERA, "weights", encoder)
    np.testing.assert_array_equal(features, dataset.columns[CAMERA][:, 0, 0])
    seen = encoder.seen
    np.testing.assert_array_equal(cached_features(dataset, CAMERA, "weights", encoder), features)
    assert encoder.seen == seen == 1 + len(features)
    cached_features(dataset, CAMERA, "other weights", encoder)
    assert encoder.seen == 2 * seen
    os.utime(dataset.folder / "data/chunk-000/file-000.parquet", (1, 1))
    cached_features(LeRobotDataset.open(dataset.folder), CAMERA, "weights", encoder)
    assert encoder.seen == 3 * seen
    assert not (dataset.folder / "cache").exists()


def test_an_encoder_that_fails_leaves_nothing(dataset: LeRobotDataset) -> None:
    def encode(frames: np.ndarray) -> np.ndarray:
        if len(frames) > 1:
            raise ValueError("out of memory")
        return np.zeros((1, 2), np.float32)

    with pytest.raises(ValueError, match="out of memory"):
        cached_features(dataset, CAMERA, "weights", encode)
    assert dataset.cache is not None
    assert not list(dataset.cache.folder.rglob("*weights*"))


def test_windows_of_features_are_those_of_their_frames(dataset_folder: Path) -> None:
    dataset = LeRobotDataset.open(dataset_folder)
    features = cached_features(dataset, CAMERA, "weights", Encoder())
    indices = np.array([0, 9, 23])
    frames = Windows(dataset, timesteps=4).batch(indices)
    batch = Windows(dataset, timesteps=4, features={CAMERA: features}).batch(indices)
    assert batch.images == {}
    np.testing.assert_array_equal(batch.features[CAMERA], frames.images[CAMERA][..., 0, 0])
