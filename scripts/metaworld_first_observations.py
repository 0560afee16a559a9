"""Measure which numbers of the first observation tell two tasks of Meta-World apart that share a scene.

    python scripts/metaworld_first_observations.py data/metaworld-mt10

A number tells two tasks apart if its ranges over the demonstrations of both do not overlap. What an observation tells,
a policy need not read in the instruction, and the control `swapped` need not lower its success.
"""

import itertools
import sys
from pathlib import Path

import numpy as np

from astra.datasets import LeRobotDataset
from astra.environments.metaworld.environment import GOAL, OBJECTS
from astra.environments.metaworld.tasks import MT50, MetaWorldTask


def gaps(dataset: LeRobotDataset, one: MetaWorldTask, other: MetaWorldTask, column: str) -> dict[int, float]:
    """Return the gap between the ranges of each number that tells two tasks apart, by its place in the column."""
    first = np.asarray(dataset.columns[column])[dataset.starts]
    asked = np.array(dataset.instructions)
    ours, theirs = (first[asked == task.instruction] for task in (one, other))
    gap = np.maximum(ours.min(0) - theirs.max(0), theirs.min(0) - ours.max(0))
    return {place: round(float(gap[place]), 3) for place in np.flatnonzero(gap > 0).tolist()}


def main(folder: Path) -> None:
    """Print a line for every pair of tasks that share a scene."""
    dataset = LeRobotDataset.open(folder, reads=("vectors",))
    known = [task for task in MT50 if task.instruction in dataset.spec.instructions]
    for one, other in itertools.combinations(known, 2):
        if one.scene == other.scene:
            found = {column: gaps(dataset, one, other, column) for column in (OBJECTS, GOAL)}
            print(f"{one.name} and {other.name}: {found}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
