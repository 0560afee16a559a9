"""Cached features of frozen image encoders, which see every frame only once."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch

from astra.datasets import LeRobotDataset
from astra.datasets.feature_cache import cached_features
from astra.tokenizers.vision.images import ImageConfig, ImageTokenizer


def frozen_features(dataset: LeRobotDataset, config: ImageConfig) -> Mapping[str, np.ndarray]:
    """Return the memory-mapped features of every camera, (rows, F); empty for a trained encoder or without cameras.

    Raises:
        FileNotFoundError: if the pretrained model is missing.
        OSError: if the features do not fit on the disk.
    """
    cameras = tuple(dataset.spec.images)
    if not config.frozen or not cameras:
        return {}
    tokenizer = ImageTokenizer(config, cameras, width=1)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    encode = partial(_encode, tokenizer.to(device))
    return {camera: cached_features(dataset, camera, tokenizer.fingerprint, encode) for camera in cameras}


@torch.no_grad()
def _encode(tokenizer: ImageTokenizer, frames: np.ndarray) -> np.ndarray:
    pictures = torch.from_numpy(frames).to(tokenizer.mean.device).movedim(-1, 1)
    return tokenizer.features(pictures).float().cpu().numpy()
