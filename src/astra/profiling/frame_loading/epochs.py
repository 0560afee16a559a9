"""Epochs over recordings with frames: windows per second of Astra and of LeRobot, and the filling of the cache."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import av
import numpy as np

from astra.datasets import LeRobotDataset, Windows
from astra.profiling.clock import in_turn
from astra.profiling.frame_loading.recordings import CAMERAS, FPS
from astra.trajectory import Trajectory

READ = (96, 96)
"""Height and width to which the policy of the benchmark resizes frames."""
T, C, B = 2, 8, 32
"""Observed timesteps and actions of a window, and windows of a batch."""
PEER = Path(__file__).parents[4] / "scripts/lerobot_loading.py"
"""Script of LeRobot's side."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Windows per second."""

    first: float
    """In the first epoch, with the filling of the cache."""
    later: float
    """In every later one."""
    peer: float | None
    """LeRobot in any epoch; None: not measured."""
    backend: str
    """Version of LeRobot and what decodes its frames."""


def measure_epochs(folder: Path, peer: Path | None) -> Rates:
    """Measure whole epochs in random order.

    Args:
        folder: The dataset.
        peer: Python of LeRobot's environment; None: only Astra is measured.

    Raises:
        ChildProcessError: if LeRobot fails.
    """
    with empty_cache():
        begun = time.perf_counter()
        dataset = LeRobotDataset.open(folder, frame_size=READ)
        windows = Windows(dataset, timesteps=T, chunk_size=C)
        order = np.random.default_rng(0).permutation(len(windows))
        _epoch(windows, order)
        first = time.perf_counter() - begun
        begun = time.perf_counter()
        _epoch(windows, order)
        later = time.perf_counter() - begun
        theirs, backend = (None, "") if peer is None else _ask_peer(peer, folder, dataset, order)
    return Rates(first=len(order) / first, later=len(order) / later, peer=theirs, backend=backend)


def measure_filling(folder: Path, rounds: int) -> tuple[float, float]:
    """Return the rate of filling the cache as a share of PyAV's sequential decoding, by the clock and in computing.

    PyAV decodes the same files in its own way: `for frame in container.decode(video=0): frame.to_ndarray("rgb24")`.
    """

    def fill() -> None:
        with empty_cache():
            LeRobotDataset.open(folder, frame_size=READ)

    def decode() -> None:
        for path in sorted(folder.glob("videos/*/*/*.mp4")):
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    frame.to_ndarray(format="rgb24")

    def clock() -> float:
        return time.perf_counter()

    computing: dict[str, list[float]] = {"fill": [], "decode": []}

    def counted(name: str) -> None:
        begun = time.process_time()
        {"fill": fill, "decode": decode}[name]()
        computing[name].append(time.process_time() - begun)

    sides = {name: (lambda name=name: counted(name)) for name in computing}
    seconds = in_turn(sides, rounds, label="filling the cache", clock=clock)
    by_clock, by_computing = (median(found["decode"]) / median(found["fill"]) for found in (seconds, computing))
    return by_clock, by_computing


@contextmanager
def empty_cache() -> Iterator[None]:
    """Use a new cache in the block, and remove it after."""
    before = os.environ.get("ASTRA_CACHE")
    with tempfile.TemporaryDirectory(prefix="astra-cache-") as folder:
        os.environ["ASTRA_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["ASTRA_CACHE"]
            if before is not None:
                os.environ["ASTRA_CACHE"] = before


def _epoch(windows: Windows, order: np.ndarray) -> None:
    for begin in range(0, len(order), B):
        _as_floats(windows.batch(order[begin : begin + B]))


def _as_floats(batch: Trajectory) -> None:
    """Convert frames to floats from 0 to 1, as LeRobot does when it reads them."""
    for frames in batch.images.values():
        frames.float().div_(255)


def _ask_peer(peer: Path, folder: Path, dataset: LeRobotDataset, order: np.ndarray) -> tuple[float, str]:
    """Return LeRobot's rate and backend; states and actions of its windows must be ours."""
    if not PEER.exists():
        raise ChildProcessError(f"{PEER} is missing: run the benchmark with --peer in a copy of the repository")
    episodes = zip(dataset.starts, dataset.ends, strict=True)
    rows = np.concatenate([np.arange(start, end - T - C) for start, end in episodes])
    chosen = np.random.default_rng(0).permutation(rows)[:400].tolist()
    cameras = [camera for camera in CAMERAS if camera in dataset.spec.images]
    question = {"folder": str(folder), "rows": chosen, "fps": FPS, "cameras": cameras, "T": T, "A": T + C - 1, "B": B}
    asked = subprocess.run(
        [str(peer), str(PEER)], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise ChildProcessError(f"LeRobot failed in {peer}:\n{asked.stderr[-2000:]}")
    answer = json.loads(asked.stdout.splitlines()[-1])
    for name, steps in (("observation.state", T), ("action", T + C - 1)):
        read = [dataset.columns[name][row : row + steps] for row in chosen[: answer["items"]]]
        ours = float(np.stack(read).sum(dtype=np.float64))
        if not np.isclose(ours, answer["sums"][name], rtol=1e-3, atol=1e-2):
            raise ChildProcessError(f"LeRobot returns other values of {name}: {answer['sums'][name]}, not {ours}")
    return answer["items"] / answer["seconds"], answer["backend"]
