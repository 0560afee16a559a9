import math

import numpy as np
import pytest

from astra.environments.tabletop.environment import Tabletop, TabletopConfig
from astra.environments.tabletop.expert import binned
from astra.environments.tabletop.levels import TASKS_OF_LEVELS

EVERY = [(level, task) for level, tasks in TASKS_OF_LEVELS.items() if level != "train" for task in tasks]


def play(environment: Tabletop, seed: int, task: str, level: str, *, bins: bool = False) -> tuple[bool, int]:
    """Let the expert play an episode; return success and steps."""
    environment.reset(seed=seed, options={"task": task, "level": level})
    for step in range(1, environment.max_timesteps + 1):
        action = environment.expert_action()
        *_, terminated, truncated, info = environment.step(binned(action) if bins else action)
        if terminated or truncated:
            return info["is_success"], step
    raise AssertionError("an episode ends within its limit")


@pytest.mark.parametrize(("level", "task"), EVERY)
def test_the_expert_solves_every_task_of_every_level(level: str, task: str) -> None:
    assert play(TabletopConfig().build(), 0, task, level)[0]


@pytest.mark.parametrize(("level", "task"), [pair for pair in EVERY if pair[0] in ("L2", "L4")])
def test_the_expert_in_bins_solves_every_task(level: str, task: str) -> None:
    assert play(TabletopConfig().build(), 1, task, level, bins=True)[0]


@pytest.mark.slow
@pytest.mark.parametrize(("level", "task"), EVERY)
def test_the_expert_solves_98_of_100_episodes_and_as_many_in_bins(level: str, task: str) -> None:
    environment = TabletopConfig().build()
    solved = [sum(play(environment, seed, task, level, bins=bins)[0] for seed in range(50)) for bins in (False, True)]
    assert solved[0] >= 49
    assert solved[1] >= solved[0]


def test_bin_centers_lie_within_half_a_bin() -> None:
    action = np.array([0.25, 0.5, -math.pi, 0.7499, -0.333, 0.0], dtype=np.float32)
    moved = binned(action)
    assert (np.abs(moved - action) < [0.0051, 0.0051, 0.0437, 0.0051, 0.0051, 0.0437]).all()
    assert np.array_equal(binned(moved), moved)
