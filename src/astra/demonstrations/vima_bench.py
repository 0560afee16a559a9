"""Demonstrations by VIMA-Bench's oracle, collected in parallel into the native format: crops and boxes, no frames."""

import os
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from astra.datasets import DatasetWriter, Episode
from astra.demonstrations.collect import AHEAD, write_all
from astra.environments.poses import ACTIONS, ActionForm
from astra.environments.vima_bench.environment import MAX_PICTURED, VIEWS, Level, VimaBenchConfig, tasks_of
from astra.environments.vima_bench.expert import Demonstration, demonstrate
from astra.parallel.pool import pool

PATIENCE = 50
"""Seeds in a row that may fail before a task is given up."""


@dataclass(frozen=True, kw_only=True)
class CollectVimaBenchConfig:
    """Which demonstrations of VIMA-Bench's oracle are collected."""

    episodes: int
    """Successful demonstrations, over all tasks."""
    output: Path
    """Folder that the dataset becomes; must not exist."""
    tasks: tuple[str, ...] = ()
    """Tasks, taken in turn; empty: all of the level."""
    level: Level = "train"
    """Level of generalization; what a policy is trained on is train."""
    actions: ActionForm = "se2"
    """Six numbers in SE(2), or VIMA-Bench's twelve with quaternions."""
    max_objects: int = 8
    """Rows for objects in an observation; no task was seen with more than 8."""
    seed: int = 0
    """Of the first episode of each task; each takes the next."""
    workers: int = os.cpu_count() or 1
    """Processes, each with a simulator of its own."""
    cluster: str | None = None
    """Let the oracles work on a Ray cluster instead: auto, or its address."""


def collect_vima_bench(config: CollectVimaBenchConfig) -> Path:
    """Let the oracle demonstrate; give the folder of the dataset.

    Raises:
        FileExistsError: if the folder exists.
        ValueError: if there are no episodes or workers to be had, a task is not known, VIMA-Bench is not installed, or
            the oracle fails with 50 seeds of a task in a row.
    """
    if config.episodes < 1 or config.workers < 1:
        raise ValueError(f"collecting needs episodes and workers, got {config.episodes} and {config.workers}")
    known = tasks_of(config.level)
    if unknown := [task for task in config.tasks if task not in known]:
        raise ValueError(f"VIMA-Bench's level {config.level} has no task {unknown[0]!r}; it has {', '.join(known)}")
    tasks = config.tasks or tuple(known)
    with DatasetWriter(
        config.output,
        fps=1.0,
        actions=ACTIONS[config.actions],
        robot_type="vima-bench",
        views=VIEWS,
        max_pictured=MAX_PICTURED,
    ) as writer:
        failure = write_all(writer, _demonstrations(config, tasks), config.episodes)
    if failure is not None:
        raise failure
    return config.output


def _demonstrations(config: CollectVimaBenchConfig, tasks: Sequence[str]) -> Generator[Episode]:
    """Yield successful demonstrations in an order that workers do not change."""
    wanted = deque(tasks[number % len(tasks)] for number in range(config.episodes))
    seeds = dict.fromkeys(tasks, config.seed)
    failures = Counter[str]()
    waiting = deque[tuple[str, Future[Demonstration | None]]]()
    with pool(config.workers, cluster=config.cluster) as oracles:
        while wanted or waiting:
            while wanted and len(waiting) < AHEAD * oracles.workers:
                task = wanted.popleft()
                asked = VimaBenchConfig(
                    task=task, level=config.level, actions=config.actions, max_objects=config.max_objects
                )
                waiting.append((task, oracles.submit(demonstrate, asked, seeds[task])))
                seeds[task] += 1
            task, future = waiting.popleft()
            shown = future.result()
            if shown is not None:
                failures[task] = 0
                yield Episode(instruction=shown.instruction, columns=shown.columns, fps=1.0, pictures=shown.pictures)
                continue
            failures[task] += 1
            if failures[task] == PATIENCE:
                raise ValueError(f"the oracle failed in {task} with {PATIENCE} seeds in a row, up to {seeds[task]}")
            wanted.append(task)
