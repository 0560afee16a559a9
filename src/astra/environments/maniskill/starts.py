"""The start of an episode, which its seed, level and task decide. Needs no simulator."""

import zlib
from dataclasses import dataclass

import numpy as np
from gymnasium.utils import seeding

from astra.environments.maniskill.distractors import sample_distractors
from astra.environments.maniskill.layout import Layout, sample_layout
from astra.environments.maniskill.levels import combinations_of, find_combination


@dataclass(frozen=True, kw_only=True)
class Start:
    """Start of an episode."""

    layout: Layout
    """Target, container, and the places of all objects."""
    entropy: tuple[int, ...]
    """Numbers that seed all further chance of the episode, such as what disturbs the expert."""


def start_of(level: str, task: str, seed: int) -> Start:
    """Return the start of an episode of a level and a task by its seed.

    Raises:
        ValueError: if there is no such level, or it has no such task.
    """
    return draw_start(level, task, seeding.np_random(seed)[0])


def draw_start(level: str, task: str | None, random: np.random.Generator) -> Start:
    """Draw the start of an episode.

    Tasks and levels share seeds, in demonstrations and in evaluations. So that they do not share places, each draws
    from numbers of its own.

    Args:
        level: Level of the episode.
        task: Name of the combination; None: one of the level's is drawn.
        random: Source of random numbers.

    Raises:
        ValueError: if there is no such level, or it has no such task.
    """
    offered = combinations_of(level)
    drawn = offered[int(random.integers(len(offered)))]
    combination = drawn if task is None else find_combination(level, task)
    entropy = draw_entropy(random, f"{level} {combination.name}")
    own = np.random.default_rng(entropy)
    layout = sample_layout(combination, sample_distractors(level, combination, own), own)
    return Start(layout=layout, entropy=entropy)


def draw_entropy(random: np.random.Generator, words: str) -> tuple[int, ...]:
    """Draw numbers that seed an episode; they differ between the words of its level and task at equal seeds."""
    return int(random.integers(2**31)), zlib.crc32(words.encode())
