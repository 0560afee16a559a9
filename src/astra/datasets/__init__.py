"""Demonstrations on disk, read into batches of trajectories."""

from astra.datasets.batches import BatchSampler, batches_in_order
from astra.datasets.description import describe
from astra.datasets.episode import Episode
from astra.datasets.importers.diffusion_policy_zarr import read_diffusion_policy_zarr
from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.datasets.lerobot.writer import DatasetWriter
from astra.datasets.statistics import compute_statistics
from astra.datasets.windows import Windows

__all__ = [
    "BatchSampler",
    "DatasetWriter",
    "Episode",
    "LeRobotDataset",
    "Windows",
    "batches_in_order",
    "compute_statistics",
    "describe",
    "read_diffusion_policy_zarr",
]
