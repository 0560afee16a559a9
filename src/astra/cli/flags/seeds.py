"""`--seeds 0 1 2`: one run folder per training seed, beside each other in one folder."""

from collections.abc import Sequence
from pathlib import Path


def folders_of_seeds(folder: Path, seeds: Sequence[int], seed: int) -> dict[int, Path]:
    """Return the run folder of each training seed: FOLDER/SEED, or FOLDER itself for a single run without --seeds.

    Args:
        folder: folder of the run, or of all runs.
        seeds: seeds of --seeds; empty: one run.
        seed: seed of a single run.

    Raises:
        ValueError: if a seed is negative or appears twice, or the folder holds a single run.
    """
    if not seeds:
        return {seed: folder}
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds must be different numbers from 0, got {' '.join(map(str, seeds))}")
    if (folder / "config.json").exists():
        raise ValueError(f"{folder} holds a single run, expected a folder for several: choose another with --output")
    return {each: folder / str(each) for each in seeds}
