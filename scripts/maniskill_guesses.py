"""Compute how often a guess picks the target of ManiSkill's episodes without reading the instruction; no simulator.

    python scripts/maniskill_guesses.py [--seeds 200]

Chance is one object of all. Four guesses look at objects and container: one of the objects that training places in
this container, one of those of which it places the shape there, one of those that training never shows, and one of
those whose color it never shows. Where no object is like that, a guess takes any.
"""

import argparse
from collections.abc import Callable

import numpy as np

from astra.environments.maniskill.distractors import misfit
from astra.environments.maniskill.levels import LEVELS, TRAINING, combinations_of
from astra.environments.maniskill.objects import Target
from astra.environments.maniskill.starts import start_of

SEEN = {each.target for each in combinations_of(TRAINING)}
GUESSES: dict[str, Callable[[Target, str], bool]] = {
    "chance": lambda target, container: True,
    "fits the container": lambda target, container: misfit(target, container) == 0,
    "its shape does": lambda target, container: misfit(target, container) <= 1,
    "is new": lambda target, container: target not in SEEN,
    "its color is new": lambda target, container: target.color not in {each.color for each in SEEN},
}


def rates(level: str, seeds: int) -> dict[str, float]:
    """Return how often each guess is right at a level."""
    right: dict[str, list[float]] = {name: [] for name in GUESSES}
    for combination in combinations_of(level):
        for seed in range(seeds):
            objects = [target for target, _ in start_of(level, combination.name, seed).layout.objects]
            for name, chooses in GUESSES.items():
                chosen = [each for each in objects if chooses(each, combination.container)] or objects
                right[name].append((objects[0] in chosen) / len(chosen))
    return {name: float(np.mean(each)) for name, each in right.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    print(f"| level | {' | '.join(GUESSES)} |\n|---|{'---|' * len(GUESSES)}")
    for level in (TRAINING, *LEVELS):
        print(f"| {level} | {' | '.join(f'{rate:.2f}' for rate in rates(level, seeds).values())} |")
