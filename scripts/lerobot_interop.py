"""Compare Astra with LeRobot on the same datasets, in both directions; LeRobot runs in an environment of its own.

    python3.12 -m venv lerobot-venv && lerobot-venv/bin/pip install 'lerobot[dataset]==0.6.1'
    python scripts/lerobot_interop.py lerobot-venv/bin/python

LeRobot opens what Astra wrote, and Astra opens what LeRobot wrote. Frames must be equal to the bit, and so must states,
actions, timestamps and the task of every row. The exit code is 1 if anything differs.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
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
    _run(python, "read", str(folder), str(output))
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


def _run(python: str, *arguments: str) -> str:
    done = subprocess.run([python, str(SIDE), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{SIDE.name} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip()


def main(python: str) -> int:
    """Print the comparison as a table and return the exit code."""
    print(_run(python, "version"))
    cases: dict[str, Callable[[Path], None]] = {
        "Astra, images": lambda folder: write_by_astra(folder, video=False),
        "Astra, video (H.264)": lambda folder: write_by_astra(folder, video=True),
        "LeRobot, images": lambda folder: write_by_lerobot(python, folder, "image"),
        "LeRobot, video (its default)": lambda folder: write_by_lerobot(python, folder, "video"),
    }
    failed = False
    print("\n| written by | timesteps | differences between the readers |\n|---|---:|---|")
    with tempfile.TemporaryDirectory() as root:
        for number, (name, write) in enumerate(cases.items()):
            folder, merged = Path(root) / f"data{number}", Path(root) / f"merged{number}"
            write(folder)
            code = astra(["convert", "lerobot", str(folder), str(folder), "--output", str(merged)])
            for label, path in ((name, folder), (f"{name}, twice in `astra convert lerobot`", merged)):
                wrong = differences(python, path) if code == 0 else "not converted"
                failed |= bool(wrong)
                print(f"| {label} | {int(LeRobotDataset.open(path).ends[-1])} | {wrong or 'none'} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
