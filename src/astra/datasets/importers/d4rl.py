"""Importer of D4RL's files: one HDF5 file with the timesteps of all episodes one after the other.

Source: https://github.com/Farama-Foundation/D4RL, `d4rl/offline_env.py`. An episode ends where `terminals` or
`timeouts` is true; files of some environments have only one of them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from astra.datasets.importers.hdf5.files import opened, read_array, read_vectors

ENDS = ("terminals", "timeouts")


def read_d4rl(path: str | Path) -> Iterator[tuple[Float[np.ndarray, "T n"], Float[np.ndarray, "T N"]]]:
    """Read observations and actions, one episode at a time.

    Raises:
        FileNotFoundError: if there is no such file.
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if the file is truncated, lacks an array, or has arrays of different lengths.
    """
    path = Path(path)
    with opened(path) as file:
        observations, actions = (read_vectors(file, name, str(path)) for name in ("observations", "actions"))
        marks = {name: read_array(file, name, str(path)) for name in ENDS if name in file}
    if not marks:
        raise ValueError(f"{path} has neither {' nor '.join(ENDS)}, which say where its episodes end")
    lengths = {"observations": len(observations), "actions": len(actions)}
    lengths |= {name: len(mark) for name, mark in marks.items()}
    if len(set(lengths.values())) > 1 or any(mark.ndim != 1 for mark in marks.values()):
        raise ValueError(f"{path} has {lengths} timesteps, expected one row per timestep in each")
    ended = np.any([mark != 0 for mark in marks.values()], axis=0)
    ended[-1] = True
    start = 0
    for end in (np.flatnonzero(ended) + 1).tolist():
        yield observations[start:end], actions[start:end]
        start = end


def is_d4rl(path: Path) -> bool:
    """Whether an HDF5 file has the arrays of D4RL.

    Raises:
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if the file is damaged.
    """
    with opened(path) as file:
        return {"observations", "actions"} <= set(file) and any(name in file for name in ENDS)
