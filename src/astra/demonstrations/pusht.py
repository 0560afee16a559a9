"""Push-T demonstrations into the native format: our expert's, collected in parallel, and human ones, converted."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from astra.datasets import DatasetWriter, Episode, read_diffusion_policy_zarr
from astra.demonstrations.collect import demonstrations, write_all
from astra.environments.pusht.environment import FPS, PushTConfig, observe_state
from astra.environments.pusht.expert import demonstrate
from astra.environments.pusht.geometry import BOARD, CENTER, LOWER_RIGHT, Pose, instruction_for
from astra.trajectory import ActionSpec

ACTIONS = ActionSpec(names=("x", "y"), low=(0.0, 0.0), high=(BOARD, BOARD))


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Which demonstrations of the expert are collected."""

    episodes: int
    """Successful demonstrations, over all goals."""
    output: Path
    """Folder that the dataset becomes; must not exist."""
    goals: tuple[Pose, ...] = (CENTER, LOWER_RIGHT)
    """Goal poses (x, y in pixels, angle in radians), taken in turn."""
    disturbance: float = 0.03
    """Probability, per timestep, that something moves the T or the agent a little; the expert corrects it."""
    near_goal: float = 0.25
    """Share of the episodes that begin near the goal."""
    seed: int = 0
    """Of the first episode; each takes the next."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    cluster: str | None = None
    """Let the experts work on a Ray cluster instead: auto, or its address."""


def collect_pusht(config: CollectConfig) -> Path:
    """Let the expert demonstrate; give the folder of the dataset.

    Raises:
        FileExistsError: if the folder exists.
        ValueError: if there are no episodes or workers to be had, or gym-pusht is missing.
    """
    if config.episodes < 1 or config.workers < 1 or not config.goals:
        raise ValueError(
            f"collecting needs episodes, workers and goals, got {config.episodes}, {config.workers}, {config.goals}"
        )
    PushTConfig().build().close()  # says at once what is not installed
    with DatasetWriter(config.output, fps=FPS, actions=ACTIONS, robot_type="pusht") as writer:
        share = {"disturbance": config.disturbance, "near_goal": config.near_goal}
        shown = demonstrations(
            _demonstrate,
            ((seed, config.goals[seed % len(config.goals)]) for seed in count(config.seed)),
            workers=config.workers,
            cluster=config.cluster,
            shared=(PushTConfig(), share),
        )
        failure = write_all(writer, shown, config.episodes)
    if failure is not None:
        raise failure
    return config.output


def _demonstrate(environment: PushTConfig, share: dict[str, float], seed: int, goal: Pose) -> Episode | None:
    shown = demonstrate(environment, seed, goal=goal, **share)
    if shown is None:
        return None
    instruction, recorded = shown
    seen = {name: values for name, values in recorded.items() if not name.startswith("next.")}
    return Episode(instruction=instruction, columns=seen, fps=FPS)


def convert_pusht_zarr(source: Path, destination: Path, *, goal: Pose = CENTER, mirror: bool = False) -> Path:
    """Convert human demonstrations in diffusion-policy's zarr format to the observations of our environment.

    Args:
        source: the store, a folder or a .tar file.
        destination: folder that the dataset becomes.
        goal: which goal was demonstrated.
        mirror: adds the mirror image of every episode; only goals on the board's own axis have one.

    Raises:
        FileExistsError: if the destination exists.
        FileNotFoundError: if there is no such store.
        ValueError: if the store is damaged, or the goal is not its own mirror image.
    """
    if mirror and not np.allclose(mirrored(np.array([[0.0, 0.0, *goal]]))[0, 2:], goal):
        raise ValueError(f"the goal {goal} is not its own mirror image, so mirrored demonstrations would miss it")
    instruction = instruction_for(goal)
    with DatasetWriter(destination, fps=FPS, actions=ACTIONS, robot_type="pusht") as writer:
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
