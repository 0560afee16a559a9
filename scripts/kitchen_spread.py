"""Measure how much demonstrations of Franka Kitchen differ: how near each state comes to those of other episodes.

    python scripts/kitchen_spread.py data/kitchen results/franka-kitchen/spread.json

The distance is that of the seven joints of the arm, in radians, among the first 100 episodes. If the expert always took
the same path, it would be near zero.
"""

import json
import sys
from pathlib import Path

import numpy as np

from astra.datasets import LeRobotDataset
from astra.environments.franka_kitchen.environment import ROBOT
from astra.environments.franka_kitchen.simulator import JOINTS
from astra.storage.atomic import write_atomic

EPISODES = 100
"""Number of episodes that are compared with each other."""


def spread(folder: Path) -> dict[str, float]:
    """Return quantiles of the distance of each state to the nearest state of another episode, in radians."""
    dataset = LeRobotDataset.open(folder, reads=())
    number = min(EPISODES, len(dataset))
    joints = [
        np.asarray(dataset.columns[ROBOT][dataset.starts[episode] : dataset.ends[episode], :JOINTS], np.float64)
        for episode in range(number)
    ]
    nearest = []
    for episode, states in enumerate(joints):
        others = np.concatenate([joints[other] for other in range(number) if other != episode])
        squares = (states**2).sum(1)[:, None] - 2 * states @ others.T + (others**2).sum(1)[None]
        nearest.append(np.sqrt(squares.min(axis=1).clip(0)))
    distances = np.concatenate(nearest)
    quantiles = {f"quantile {share}": float(np.quantile(distances, share)) for share in (0.1, 0.5, 0.9, 0.99)}
    return {"episodes": number, "states": len(distances), "mean": float(distances.mean()), **quantiles}


if __name__ == "__main__":
    result = spread(Path(sys.argv[1]))
    write_atomic(Path(sys.argv[2]), (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result, indent=1))
