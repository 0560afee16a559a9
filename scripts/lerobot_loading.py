"""The side of `astra benchmark loading --peer PYTHON` that runs in LeRobot's environment; it imports nothing of Astra.

It reads a question as JSON from standard input: a dataset and rows, with T observed timesteps and A actions from each
row on. It answers with the seconds that LeRobot takes, batch by batch in one process, and with sums of the values.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

LONGEST = 30.0
"""Seconds after which no further batch is begun."""


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(1)
    steps = {"observation.state": asked["T"], "action": asked["A"], **dict.fromkeys(asked["cameras"], asked["T"])}
    dataset = LeRobotDataset(
        "local/astra",
        root=Path(asked["folder"]),
        delta_timestamps={name: [step / asked["fps"] for step in range(count)] for name, count in steps.items()},
    )
    rows, batch_size = asked["rows"], asked["B"]
    loader = torch.utils.data.DataLoader(dataset, batch_size=batch_size, sampler=rows)
    for _ in range(4):
        dataset[rows[0]]  # what is only done once
    sums, items, begun = dict.fromkeys(("observation.state", "action"), 0.0), 0, time.perf_counter()
    for batch in loader:
        items += len(batch["action"])
        for name in sums:
            sums[name] += float(batch[name].double().sum())
        if time.perf_counter() - begun > LONGEST:
            break
    seconds = time.perf_counter() - begun
    backend = f"LeRobot {version('lerobot')}, PyTorch {version('torch')}"
    if getattr(dataset, "_video_backend", None) or getattr(dataset, "video_backend", None):
        backend += f", {getattr(dataset, '_video_backend', None) or dataset.video_backend}"
    print(json.dumps({"items": items, "seconds": seconds, "sums": sums, "backend": backend}))


if __name__ == "__main__":
    main()
