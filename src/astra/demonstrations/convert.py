"""Convert human demonstrations of Push-T to the observations of our environment."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astra.datasets import DatasetWriter, Episode, read_diffusion_policy_zarr
from astra.environments.pusht.environment import FPS, observe_state
from astra.environments.pusht.geometry import BOARD, CENTER, Pose, instruction_for
from astra.environments.pusht.suite import SUITE
from astra.trajectory import ActionSpec

ACTIONS = ActionSpec(names=("x", "y"), low=(0.0, 0.0), high=(BOARD, BOARD))
"""Actions of Push-T, known here without the simulator."""


def convert_pusht_zarr(source: Path, destination: Path, *, goal: Pose = CENTER, mirror: bool = False) -> Path:
    """Convert demonstrations in diffusion-policy's zarr format and return the folder of the dataset.

    Args:
        source: Zarr store, a folder or a .tar file.
        destination: Folder of the new dataset.
        goal: Goal pose that was demonstrated.
        mirror: Whether the mirror image of every episode is added; only goals on the board's own axis have one.

    Raises:
        FileExistsError: if the destination exists.
        FileNotFoundError: if there is no such store.
        ValueError: if the store is damaged, or the goal is not its own mirror image.
    """
    if mirror and not np.allclose(mirrored(np.array([[0.0, 0.0, *goal]]))[0, 2:], goal):
        raise ValueError(
            f"the goal {goal} is not its own mirror image, so mirrored demonstrations would miss it: leave --mirror out"
        )
    instruction = instruction_for(goal)
    with DatasetWriter(destination, fps=FPS, actions=ACTIONS, robot_type=SUITE.name, suite=SUITE.name) as writer:
        columns = {"state": "state", "action": "action"}
        for episode in read_diffusion_policy_zarr(source, instruction=instruction, fps=FPS, columns=columns):
            states = episode.columns["state"].astype(np.float64)
            actions = episode.columns["action"]
            writer.add(_episode(instruction, states, actions))
            if mirror:
                writer.add(_episode(instruction, mirrored(states), BOARD - actions[:, ::-1]))
    return destination


def mirrored(states: np.ndarray) -> np.ndarray:
    """Mirror states (T, 5) at the board's diagonal x + y = 512, the axis of the T at the central goal."""
    agent_x, agent_y, x, y, angle = states.T
    return np.stack([BOARD - agent_y, BOARD - agent_x, BOARD - y, BOARD - x, np.pi / 2 - angle], axis=1)


def _episode(instruction: str, states: np.ndarray, actions: Sequence[Sequence[float]] | np.ndarray) -> Episode:
    action = np.ascontiguousarray(actions, dtype=np.float32)
    return Episode(instruction=instruction, columns={**observe_state(states), "action": action}, fps=FPS)
