"""Memory of a process that opens a dataset and reads an epoch: what it owns, without the files that it maps.

python -m astra.profiling.frame_loading.resident FOLDER
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from astra.datasets import LeRobotDataset, Windows
from astra.profiling.frame_loading.epochs import READ, B, C, T, empty_cache
from astra.profiling.frame_loading.recordings import write_recordings

MEGABYTE = 2**20
LENGTH = 60


def memory_of_epochs(folder: Path) -> tuple[float, float]:
    """Return the memory in MB that an epoch over videos takes, and one over ten times as many episodes.

    Raises:
        ChildProcessError: if a measurement fails.
    """
    with empty_cache():
        found = []
        for episodes in (4, 40):
            place = write_recordings(
                folder / str(episodes), size=(120, 160), cameras=1, episodes=episodes, length=LENGTH, video=True
            )
            found.append(_of_process(place))
    return found[0], found[1]


def _of_process(folder: Path) -> float:
    command = [sys.executable, "-m", "astra.profiling.frame_loading.resident", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"the memory of {folder} cannot be measured:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _own_memory() -> float:
    """Return the resident memory of this process without that of mapped files, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / MEGABYTE


def _main(folder: Path) -> None:
    dataset = LeRobotDataset.open(folder, frame_size=READ)
    largest = _own_memory()
    windows = Windows(dataset, timesteps=T, chunk_size=C)
    order = np.random.default_rng(0).permutation(len(windows))
    for begin in range(0, len(order), B):
        windows.batch(order[begin : begin + B])
        largest = max(largest, _own_memory())
    print(json.dumps(largest))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
