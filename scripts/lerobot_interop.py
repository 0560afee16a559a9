"""Compare Astra with LeRobot on the same datasets, in both directions; LeRobot runs in an environment of its own.

    python3.12 -m venv newest && newest/bin/pip install 'lerobot[dataset]==0.6.1'
    python3.12 -m venv older && older/bin/pip install lerobot==0.4.4 torch==2.8.0 torchvision==0.23.0
    python scripts/lerobot_interop.py newest/bin/python older/bin/python

Each LeRobot writes datasets, and opens those of Astra and of each LeRobot; Astra opens all. Frames must be equal to the
bit, and so must states, actions, timestamps and the task of every row. The exit code is 1 if anything differs. LeRobot
0.4.4 reads videos by torchvision, which newer ones no longer do.
"""

import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from astra.cli.main import main as astra
from astra.datasets import DatasetWriter, Episode, LeRobotDataset

SIDE = Path(__file__).with_name("lerobot_side.py")
CAMERA = "observation.images.top"
FPS = 10
LENGTHS = (20, 7, 31)
TASKS = ("push the T", "push the T", "lift the cup")
SIZE = (96, 128)


def record() -> list[Episode]:
    """Make up episodes whose frames, states and actions all differ."""
    random, episodes = np.random.default_rng(0), []
    for length, task in zip(LENGTHS, TASKS, strict=True):
        coarse = random.integers(0, 256, (length, SIZE[0] // 8, SIZE[1] // 8, 3), dtype=np.uint8)
        columns = {
            "observation.state": random.normal(size=(length, 3)).astype(np.float32),
            "action": random.normal(size=(length, 2)).astype(np.float32),
            CAMERA: coarse.repeat(8, 1).repeat(8, 2),
        }
        episodes.append(Episode(instruction=task, columns=columns, fps=FPS))
    return episodes


def write_by_astra(folder: Path, video: bool) -> None:
    """Write the episodes with Astra."""
    with DatasetWriter(folder, fps=FPS, video=video) as writer:
        for episode in record():
            writer.add(episode)


def write_by_lerobot(python: str, folder: Path, kind: str) -> None:
    """Let LeRobot write the episodes."""
    episodes, recording = record(), folder.with_suffix(".npz")
    columns = {name: np.concatenate([episode.columns[name] for episode in episodes]) for name in episodes[0].columns}
    np.savez(
        recording,
        frames=columns[CAMERA],
        states=columns["observation.state"],
        actions=columns["action"],
        episodes=np.repeat(np.arange(len(LENGTHS)), LENGTHS),
        tasks=np.array(TASKS),
        fps=FPS,
    )
    _run(python, "write", str(folder), str(recording), kind)


def differences(python: str, folder: Path) -> str:
    """Return what Astra and LeRobot read differently, in words; empty if nothing."""
    output = folder.with_suffix(".read.npz")
    try:
        _run(python, "read", str(folder), str(output))
    except ChildError as error:
        return f"not read: {str(error).splitlines()[-1]}"
    dataset = LeRobotDataset.open(folder)
    found = []
    with np.load(output) as theirs:
        rows = int(dataset.ends[-1])
        episodes = np.repeat(np.arange(len(dataset)), dataset.lengths)
        ours: dict[str, np.ndarray] = {
            **dataset.columns,
            "timestamp": np.concatenate([np.arange(n) / dataset.spec.fps for n in dataset.lengths]).astype(np.float32),
            "task": np.array([dataset.instructions[episode] for episode in episodes]),
            "episode_index": episodes,
        }
        for name, values in ours.items():
            other = theirs[name]
            if len(other) != rows or not np.array_equal(other.reshape(values.shape), values):
                found.append(name)
    return ", ".join(found)


class ChildError(Exception):
    """Raised if LeRobot fails."""


def _run(python: str, *arguments: str) -> str:
    done = subprocess.run([python, str(SIDE), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildError(f"{SIDE.name} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}".strip())
    return done.stdout.strip()


def main(pythons: Sequence[str]) -> int:
    """Print the comparison as a table and return the exit code."""
    versions = {}
    for python in pythons:
        print(version := _run(python, "version"))
        versions[" ".join(version.split()[:2])] = python
    cases: dict[str, Callable[[Path], None]] = {
        "Astra, images": lambda folder: write_by_astra(folder, video=False),
        "Astra, video (H.264)": lambda folder: write_by_astra(folder, video=True),
    }
    for name, python in versions.items():
        for kind, label in (("image", "images"), ("video", "video (its default)")):
            cases[f"{name}, {label}"] = partial(write_by_lerobot, python, kind=kind)
    failed = False
    print(f"\n| written by | timesteps | {' | '.join(f'Astra against {name}' for name in versions)} |")
    print(f"|---|---:|{len(versions) * '---|'}")
    with tempfile.TemporaryDirectory() as root:
        for number, (name, write) in enumerate(cases.items()):
            folder, merged = Path(root) / f"data{number}", Path(root) / f"merged{number}"
            write(folder)
            with contextlib.redirect_stdout(io.StringIO()):
                code = astra(["convert", "lerobot", str(folder), str(folder), "--output", str(merged)])
            for label, path in ((name, folder), (f"{name}, twice in `astra convert lerobot`", merged)):
                wrong = [differences(python, path) if code == 0 else "not converted" for python in versions.values()]
                failed |= any(wrong)
                cells = " | ".join(each or "no difference" for each in wrong)
                print(f"| {label} | {int(LeRobotDataset.open(path).ends[-1])} | {cells} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
