"""The side of `lerobot_interop.py` that runs inside LeRobot's own environment; it imports nothing of Astra.

python lerobot_side.py read FOLDER OUTPUT.npz          # what LeRobot returns for a dataset
python lerobot_side.py write FOLDER RECORDING.npz KIND # let LeRobot write a dataset: KIND is image or a video codec
python lerobot_side.py version
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

CAMERA = "observation.images.top"


def read(folder: Path, output: Path) -> None:
    """Save all that LeRobot returns."""
    dataset = LeRobotDataset("local/astra", root=folder, video_backend="pyav")
    cameras = list(dataset.meta.camera_keys)
    found: dict[str, list[Any]] = {}
    for index in range(len(dataset)):
        item = dataset[index]
        for key, value in item.items():
            if key in cameras:
                value = (value * 255).round().byte().permute(1, 2, 0)
            found.setdefault(key, []).append(value if isinstance(value, str) else value.numpy())
    np.savez(output, **{key: np.array(values) for key, values in found.items()})


def write(folder: Path, recording: Path, kind: str) -> None:
    """Let LeRobot record episodes."""
    with np.load(recording) as arrays:
        frames, states, actions = arrays["frames"], arrays["states"], arrays["actions"]
        episodes, tasks, fps = arrays["episodes"], arrays["tasks"].tolist(), int(arrays["fps"])
    features = {
        "observation.state": {"dtype": "float32", "shape": states.shape[1:], "names": ["x", "y", "z"]},
        "action": {"dtype": "float32", "shape": actions.shape[1:], "names": ["dx", "dy"]},
        CAMERA: {
            "dtype": "image" if kind == "image" else "video",
            "shape": frames.shape[1:],
            "names": ["height", "width", "channels"],
        },
    }
    dataset = LeRobotDataset.create(
        "local/lerobot", fps, features, root=folder, robot_type="arm", use_videos=kind != "image"
    )
    for row, episode in enumerate(episodes.tolist()):
        frame = {"observation.state": states[row], "action": actions[row], CAMERA: frames[row], "task": tasks[episode]}
        dataset.add_frame(frame)
        if row + 1 == len(episodes) or episodes[row + 1] != episode:
            dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["read", folder, output]:
            read(Path(folder), Path(output))
        case ["write", folder, recording, kind]:
            write(Path(folder), Path(recording), kind)
        case _:
            print("LeRobot", version("lerobot"), "PyAV", version("av"), "PyTorch", version("torch"))
