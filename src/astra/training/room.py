"""Check of the memory that a run needs at least, before anything is written; what surely cannot work is refused."""

import os

from astra.datasets.windows import Windows
from astra.storage.allocation_limit import AllocationLimit
from astra.training.config import TrainingConfig

REPEATS, SMALL_BATCH = 64, 4096
"""A batch may hold each window so many times; batches up to the size below are never refused for that."""
COPIES, BYTES = 2, 4
"""Copies of the weights that a run holds at least, those in training and their EMA, and the bytes of a number."""


def memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def policy_limit() -> AllocationLimit:
    """Return a context in which a policy can be built whose weights fit into memory.

    Raises:
        ValueError: inside it, if they do not fit.
    """
    return AllocationLimit(
        memory() // (COPIES * BYTES),
        f"the policy's weights do not fit into the {_gigabytes(memory())} of this machine: make it smaller, such as "
        f"with --policy.layers, --policy.width or --policy.chunk-size",
    )


def check_batch(config: TrainingConfig, windows: Windows, share: int) -> None:
    """Check that a batch is not far larger than the data, and that its frames, states and actions fit into memory.

    Args:
        config: Configuration of training.
        windows: Training windows.
        share: Windows of each batch that this process gathers.

    Raises:
        ValueError: if it does not; the message names the flags.
    """
    largest = max(SMALL_BATCH, REPEATS * len(windows))
    if config.batch_size > largest:
        raise ValueError(
            f"training.batch_size={config.batch_size} is far more than the {len(windows):,} windows of the training "
            f"episodes, so that each batch would hold every window many times: choose at most {largest:,} with "
            f"--training.batch-size"
        )
    needed = windows.batch_bytes(share)
    if needed > memory():
        raise ValueError(
            f"a batch of {config.batch_size:,} windows takes {_gigabytes(needed)} before the policy computes anything, "
            f"and this machine has {_gigabytes(memory())}: choose a smaller --training.batch-size, "
            f"--training.timesteps or --policy.chunk-size"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GB"
