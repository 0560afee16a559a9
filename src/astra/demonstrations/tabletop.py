"""Demonstrations of the tabletop's oracle into the native format, collected in parallel."""

import os
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np

from astra.datasets import DatasetWriter, Episode
from astra.demonstrations.collect import demonstrations, write_all
from astra.environments.tabletop.environment import ACTIONS, FPS, MAX_PICTURED, OBJECTS, Tabletop, TabletopConfig
from astra.environments.tabletop.levels import TASKS_OF_LEVELS


@dataclass(frozen=True, kw_only=True)
class TabletopCollectConfig:
    """Which demonstrations of the tabletop are collected."""

    episodes: int
    """Successful demonstrations, over all tasks."""
    output: Path
    """Folder that the dataset becomes; must not exist."""
    level: str = "train"
    """Generalization level: train, L1, L2, L3 or L4. What L1 shows, train shows too, in other episodes."""
    tasks: tuple[str, ...] = ()
    """Tasks, taken in turn; empty: all of the level."""
    frames: bool = False
    """Keep each view's frame, of 64 x 128 pixels, too: for policies that read images instead of objects."""
    seed: int = 0
    """Of the first episode; each takes the next."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    cluster: str | None = None
    """Let the oracles work on a Ray cluster instead: auto, or its address."""


def collect_tabletop(config: TabletopCollectConfig) -> Path:
    """Let the oracle demonstrate; give the folder of the dataset.

    Raises:
        FileExistsError: if the folder exists.
        ValueError: if there are no episodes or workers to be had, no such level or task, or pymunk is missing.
    """
    if config.episodes < 1 or config.workers < 1:
        raise ValueError(f"collecting needs episodes and workers, got {config.episodes} and {config.workers}")
    TabletopConfig(level=config.level, tasks=config.tasks).build()  # says at once what is wrong or not installed
    tasks = config.tasks or TASKS_OF_LEVELS[config.level]
    with DatasetWriter(
        config.output,
        fps=FPS,
        actions=ACTIONS,
        robot_type="tabletop",
        views=OBJECTS.views,
        max_pictured=MAX_PICTURED,
    ) as writer:
        shown = demonstrations(
            demonstrate,
            ((config.level, tasks[seed % len(tasks)], seed, config.frames) for seed in count(config.seed)),
            workers=config.workers,
            cluster=config.cluster,
        )
        failure = write_all(writer, shown, config.episodes)
    if failure is not None:
        raise failure
    return config.output


def demonstrate(level: str, task: str, seed: int, frames: bool = False) -> Episode | None:
    """Record the oracle in one episode; None where it does not succeed.

    The same seed, task and level give the same episode, bit for bit, with its frames or without.
    """
    environment = _environment(frames)
    observation, _ = environment.reset(seed=seed, options={"task": task, "level": level})
    instruction, pictures = environment.instruction, environment.prompt_pictures
    seen: list[dict[str, np.ndarray]] = []
    for _ in range(environment.max_timesteps):
        action = environment.expert_action()
        seen.append({**observation, "action": action})
        observation, _, terminated, truncated, info = environment.step(action)
        if info["is_success"]:
            columns = {name: np.stack([step[name] for step in seen]) for name in seen[0]}
            return Episode(instruction=instruction, pictures=pictures, columns=columns, fps=FPS)
        if terminated or truncated:
            break
    return None


@cache
def _environment(frames: bool) -> Tabletop:
    return TabletopConfig(frames=frames).build()
