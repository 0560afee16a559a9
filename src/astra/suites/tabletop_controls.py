"""Measure the expert, the expert in bins, the prompt-blind and the no-op baseline on the tabletop, and its speed."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astra.environments.environment import EnvironmentObservation
from astra.environments.tabletop.environment import Tabletop, TabletopConfig
from astra.environments.tabletop.expert import BinnedExpert, TabletopExpert
from astra.environments.tabletop.levels import TASKS_OF_LEVELS
from astra.environments.tabletop.prompt_blind import PromptBlind
from astra.evaluation.success import wilson_interval
from astra.parallel.pool import pool
from astra.progress import tracked
from astra.storage.atomic import write_atomic
from astra.storage.numbers import Episodes, Seed, Workers, check_numbers

AGENTS: tuple[str, ...] = ("expert", "expert in bins", "prompt-blind", "no-op")
"""Agents that are measured."""


@dataclass(frozen=True, kw_only=True)
class ControlsConfig:
    """Episodes and processes of the measurement."""

    episodes: Episodes = 100
    """Number of episodes per task, level and agent."""
    levels: tuple[str, ...] = ("L1", "L2", "L3", "L4")
    """Levels of generalization."""
    seed: Seed = 0
    """Seed of the first episode of each task; each next one is larger by one."""
    workers: Workers = os.cpu_count() or 1
    """Number of worker processes."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Results of one task at one level."""

    level: str
    """Level of generalization."""
    task: str
    """Name of the task."""
    episodes: int
    """Number of episodes per agent."""
    steps: float
    """Mean number of the expert's steps."""
    successes: dict[str, int]
    """Number of successful episodes, by agent."""
    demonstrations_per_second: float
    """Number of the expert's episodes per second of processor time of one core, crops included."""


def measure_controls(config: ControlsConfig) -> list[Row]:
    """Measure every task of every level.

    Raises:
        ValueError: for an unknown level.
    """
    for level in config.levels:
        TabletopConfig(level=level).build()
    cells = [(level, task) for level in config.levels for task in TASKS_OF_LEVELS[level]]
    total = len(cells)
    if config.workers == 1:
        return [_measure(*cell, config.episodes, config.seed) for cell in tracked(cells, "controls", total, "tasks")]
    with pool(config.workers) as workers:
        waiting = [workers.submit(_measure, level, task, config.episodes, config.seed) for level, task in cells]
        return [future.result() for future in tracked(waiting, "controls", total, "tasks")]


def controls_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table of success in percent with 95% intervals."""
    lines = ["| level | task | steps | " + " | ".join(AGENTS) + " |", "|---|---|---|" + "---|" * len(AGENTS)]
    for row in rows:
        cells = [percent(row.successes[agent], row.episodes) for agent in AGENTS]
        lines.append(f"| {row.level} | {row.task} | {row.steps:.1f} | " + " | ".join(cells) + " |")
    for level in dict.fromkeys(row.level for row in rows):
        some = [row for row in rows if row.level == level]
        number = sum(row.episodes for row in some)
        cells = [percent(sum(row.successes[agent] for row in some), number) for agent in AGENTS]
        steps = float(np.mean([row.steps for row in some]))
        lines.append(f"| {level} | all | {steps:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def percent(successes: int, episodes: int) -> str:
    """Return a rate and its Wilson interval in percent, as text."""
    estimate = wilson_interval(successes, episodes)
    return f"{100 * estimate.value:.0f} [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"


def save_controls(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps([row.__dict__ for row in rows], indent=1) + "\n").encode())


def _measure(level: str, task: str, episodes: int, seed: int) -> Row:
    environment = TabletopConfig().build()
    _play(environment, "expert", level, task, seed)  # outlines and textures are drawn at their first use
    successes, steps = dict.fromkeys(AGENTS, 0), 0
    started = time.process_time()
    for number in range(seed, seed + episodes):
        solved, taken = _play(environment, "expert", level, task, number)
        successes["expert"] += solved
        steps += taken
    seconds = time.process_time() - started
    unseen = _Unseen(TabletopConfig())
    for agent in AGENTS[1:]:
        successes[agent] = sum(_play(unseen, agent, level, task, seed + i)[0] for i in range(episodes))
    return Row(
        level=level,
        task=task,
        episodes=episodes,
        steps=steps / episodes,
        successes=successes,
        demonstrations_per_second=episodes / seconds,
    )


class _Unseen(Tabletop):
    """Tabletop without observations, which are slow to draw, for agents that do not need them."""

    def observe(self) -> EnvironmentObservation:
        """Return no observation."""
        return {}


def _play(environment: Tabletop, agent: str, level: str, task: str, seed: int) -> tuple[bool, int]:
    environment.reset(seed=seed, options={"task": task, "level": level})
    expert = {"expert": TabletopExpert, "expert in bins": BinnedExpert, "prompt-blind": PromptBlind}.get(agent)
    player = expert(seed) if expert else None
    for step in range(1, environment.max_timesteps + 1):
        action = player.act(environment) if player else environment.no_op_action()
        *_, terminated, truncated, info = environment.step(action)
        if terminated or truncated:
            return bool(info["is_success"]), step
    raise RuntimeError(f"an episode of {task} did not end within its {environment.max_timesteps} steps")
