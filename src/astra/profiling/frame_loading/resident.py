"""Memory of a process that opens a dataset and reads an epoch: what it owns, without the files that it maps.

python -m astra.profiling.frame_loading.resident FOLDER once|streamed
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args

from astra.datasets import LeRobotDataset, Windows
from astra.datasets.lerobot.streamed import FrameConfig
from astra.profiling.frame_loading.epochs import READ, B, C, T, empty_cache
from astra.profiling.frame_loading.recordings import write_recordings

MEGABYTE = 2**20
LENGTH = 60

Decoding = Literal["once", "streamed"]


def memory_of_epochs(folder: Path) -> dict[Decoding, tuple[float, float]]:
    """Return the memory in MB that an epoch over videos takes, and one over ten times as many episodes.

    Frames are decoded once, into the cache, or while the epoch is read, in at most 10 MB.

    Raises:
        ChildProcessError: if a measurement fails.
    """
    with empty_cache():
        sizes = {"size": (120, 160), "cameras": 1, "length": LENGTH, "video": True}
        small, large = (write_recordings(folder / str(n), episodes=n, **sizes) for n in (4, 40))
        return {decode: (_of_process(small, decode), _of_process(large, decode)) for decode in get_args(Decoding)}


def _of_process(folder: Path, decode: Decoding) -> float:
    command = [sys.executable, "-m", "astra.profiling.frame_loading.resident", str(folder), decode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"the memory of {folder} cannot be measured:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _own_memory() -> float:
    """Return the resident memory of this process without that of mapped files, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / MEGABYTE


def _main(folder: Path, decode: Decoding) -> None:
    frames = FrameConfig(decode=decode, gigabytes=0.01, workers=1)
    dataset = LeRobotDataset.open(folder, frame_size=READ, frames=frames)
    largest = _own_memory()
    windows = Windows(dataset, timesteps=T, chunk_size=C)
    sampler = windows.sampler(B, seed=0)
    while sampler.epoch < 1:
        windows.batch(next(sampler))
        largest = max(largest, _own_memory())
    print(json.dumps(largest))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), "streamed" if sys.argv[2] == "streamed" else "once")
