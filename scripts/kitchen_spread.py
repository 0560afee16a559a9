"""Measure how much demonstrations of Franka Kitchen differ: how near each state comes to those of other episodes.

    python scripts/kitchen_spread.py data/kitchen results/franka-kitchen/spread.json \
        docs/images/franka-kitchen/spread.png

The distance is that of the seven joints of the arm, in radians, among the first 100 episodes. If the expert always took
the same path, it would be near zero. The picture shows the distances, and the paths of two joints.
"""

import json
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from astra.datasets import LeRobotDataset
from astra.environments.franka_kitchen.environment import ROBOT
from astra.environments.franka_kitchen.simulator import JOINTS
from astra.evaluation.pictures.style import BLUE, INK, ORANGE, new_figure, tidy, write_figure
from astra.storage.atomic import write_atomic

EPISODES = 100
"""Number of episodes that are compared with each other."""


PATHS = 40
"""Number of episodes whose paths are drawn."""
DRAWN = (0, 3)
"""The two joints whose paths are drawn, numbered from 0: the base and the elbow, which move most."""


def joints_of(folder: Path) -> list[Float[np.ndarray, "T 7"]]:
    """Return the joints of the arm in each of the first episodes, in radians."""
    dataset = LeRobotDataset.open(folder, reads=())
    values = dataset.columns[ROBOT]
    spans = list(zip(dataset.starts, dataset.ends, strict=True))[:EPISODES]
    return [np.asarray(values[start:end, :JOINTS], np.float64) for start, end in spans]


def nearest_distances(joints: list[Float[np.ndarray, "T 7"]]) -> Float[np.ndarray, " S"]:
    """Return the distance of each state to the nearest state of another episode, in radians."""
    nearest = []
    for episode, states in enumerate(joints):
        others = np.concatenate([each for other, each in enumerate(joints) if other != episode])
        squares = (states**2).sum(1)[:, None] - 2 * states @ others.T + (others**2).sum(1)[None]
        nearest.append(np.sqrt(squares.min(axis=1).clip(0)))
    return np.concatenate(nearest)


def quantiles(distances: Float[np.ndarray, " S"], episodes: int) -> dict[str, float]:
    """Return mean and quantiles of the distances."""
    found = {f"quantile {share}": float(np.quantile(distances, share)) for share in (0.1, 0.5, 0.9, 0.99)}
    return {"episodes": episodes, "states": len(distances), "mean": float(distances.mean()), **found}


def picture(joints: list[Float[np.ndarray, "T 7"]], distances: Float[np.ndarray, " S"]) -> Figure:
    """Draw the share of states by their distance to the nearest one, and the paths of two joints."""
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    tidy(left, "distance to the nearest state of another episode")
    left.hist(distances, bins=60, weights=np.full(len(distances), 100 / len(distances)), color=BLUE)
    median = float(np.median(distances))
    left.axvline(median, color=ORANGE, linewidth=1.2, label=f"median {median:.2f} rad")
    left.set_xlabel("radians, over seven joints", fontsize=8, color=INK)
    left.set_ylabel("% of states", fontsize=8, color=INK)
    left.legend(fontsize=8, frameon=False)
    tidy(right, f"paths of two joints in {min(PATHS, len(joints))} episodes")
    for states in joints[:PATHS]:
        right.plot(states[:, DRAWN[0]], states[:, DRAWN[1]], color=BLUE, linewidth=0.6, alpha=0.45)
    starts = np.array([states[0, list(DRAWN)] for states in joints[:PATHS]])
    right.plot(*starts.T, color=ORANGE, marker=".", markersize=4, linestyle="", label="start", zorder=3)
    right.set_xlabel(f"joint {DRAWN[0] + 1}, radians", fontsize=8, color=INK)
    right.set_ylabel(f"joint {DRAWN[1] + 1}, radians", fontsize=8, color=INK)
    right.legend(fontsize=8, frameon=False)
    return figure


def main(data: Path, numbers: Path, drawn: Path) -> None:
    """Write the quantiles and the picture."""
    joints = joints_of(data)
    distances = nearest_distances(joints)
    result = quantiles(distances, len(joints))
    write_atomic(numbers, (json.dumps(result, indent=1) + "\n").encode())
    write_figure(picture(joints, distances), drawn)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
