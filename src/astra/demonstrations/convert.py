"""Convert human demonstrations of Push-T to the observations of our environment."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from astra.datasets import DatasetWriter, Episode, read_diffusion_policy_zarr
from astra.environments.pusht.environment import FPS, blinking, blinks, observe_state
from astra.environments.pusht.geometry import BOARD, CENTER, LOWER_RIGHT, WALLS, Pose, instruction_for, keypoints
from astra.environments.pusht.suite import SUITE
from astra.trajectory import ActionSpec

ACTIONS = ActionSpec(names=("x", "y"), low=(0.0, 0.0), high=(BOARD, BOARD))
"""Actions of Push-T, known here without the simulator."""


def convert_pusht_zarr(
    source: Path,
    destination: Path,
    *,
    goal: Pose = CENTER,
    lower_right: Path | None = None,
    mirror: bool = False,
    hidden: float = 0.0,
) -> Path:
    """Convert demonstrations in diffusion-policy's zarr format and return the folder of the dataset.

    Args:
        source: Zarr store, a folder or a .tar file.
        destination: Folder of the new dataset.
        goal: Goal pose that was demonstrated.
        lower_right: Store with demonstrations of the goal at the lower right, to move along with that goal and add.
        mirror: Whether the mirror image of every episode is added; only goals on the board's own axis have one.
        hidden: Probability per timestep that the T is hidden, in [0, 1]; equal calls hide equal timesteps.

    Raises:
        FileExistsError: if the destination exists.
        FileNotFoundError: if there is no such store.
        ValueError: if a store is damaged, the probability is out of range, the goal is not its own mirror image, or
            demonstrations of the goal at the lower right are to be added to their like.
    """
    if mirror and not np.allclose(mirrored(np.array([[0.0, 0.0, *goal]]))[0, 2:], goal):
        raise ValueError(
            f"the goal {goal} is not its own mirror image, so mirrored demonstrations would miss it: leave --mirror out"
        )
    if lower_right is not None and np.allclose(goal, LOWER_RIGHT):
        raise ValueError(f"{source} and {lower_right} have the same goal: convert each, and merge them with lerobot")
    if not 0 <= hidden <= 1:
        raise ValueError(f"got hidden={hidden}, expected a probability from 0 to 1")
    instruction = instruction_for(goal)
    with DatasetWriter(destination, fps=FPS, actions=ACTIONS, robot_type=SUITE.name, suite=SUITE.name) as writer:
        for seed, (states, actions) in enumerate(_shown(source, goal, lower_right, mirror)):
            columns = observe_state(states)
            if hidden:
                columns = blinking(columns, np.array(list(islice(blinks(hidden, seed), len(states)))))
            columns["action"] = np.ascontiguousarray(actions, dtype=np.float32)
            writer.add(Episode(instruction=instruction, columns=columns, fps=FPS), source=source)
    return destination


def moved(states: np.ndarray, actions: np.ndarray, shift: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Move states (T, 5) and actions (T, 2) by so many pixels in x and y, and cut off what the board does not hold.

    What remains begins after the last timestep at which the agent, its target or a corner of the T would lie outside
    the walls. It may be empty.
    """
    states = states + np.array([*shift, *shift, 0.0])
    actions = actions + np.asarray(shift, dtype=actions.dtype)
    points = np.concatenate([states[:, :2], keypoints(states[:, 2:])], axis=1)
    outside = ((points < WALLS[0]) | (points > WALLS[1])).any(1) | ((actions < 0) | (actions > BOARD)).any(1)
    start = int(np.flatnonzero(outside)[-1]) + 1 if outside.any() else 0
    return states[start:], actions[start:]


def _shown(source: Path, goal: Pose, lower_right: Path | None, mirror: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the states and actions of every demonstration."""
    shifts = {source: (0.0, 0.0)}
    if lower_right is not None:
        shifts[lower_right] = (goal[0] - LOWER_RIGHT[0], goal[1] - LOWER_RIGHT[1])
    for store, shift in shifts.items():
        columns = {"state": "state", "action": "action"}
        for episode in read_diffusion_policy_zarr(store, instruction="", fps=FPS, columns=columns):
            states, actions = episode.columns["state"].astype(np.float64), episode.columns["action"]
            if any(shift):
                states, actions = moved(states, actions, shift)
            if len(states):
                yield states, actions
                if mirror:
                    yield mirrored(states), BOARD - actions[:, ::-1]


def mirrored(states: np.ndarray) -> np.ndarray:
    """Mirror states (T, 5) at the board's diagonal x + y = 512, the axis of the T at the central goal."""
    agent_x, agent_y, x, y, angle = states.T
    return np.stack([BOARD - agent_y, BOARD - agent_x, BOARD - y, BOARD - x, np.pi / 2 - angle], axis=1)
