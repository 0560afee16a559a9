"""Sample the protocol's list of chains: `python -m astra.environments.calvin.sampling` writes `chains.txt`.

The reference draws five tasks at random until they form a valid chain, which takes it minutes; the list is therefore
kept in a file. This sampler draws the same random numbers and gives the same list.
Source: calvin, evaluation/multistep_sequences.py.
"""

import hashlib
import sys
from functools import cache
from pathlib import Path

import numpy as np

from astra.environments.calvin.tasks import TASKS, World, chain_is_valid, initial_worlds

LENGTH = 5
"""Tasks of a chain."""
LIST = 1000
"""Chains of the protocol."""
FILE = Path(__file__).with_name("chains.txt")
"""The list: a line per chain, with the number of its initial world and the numbers of its tasks."""
Chain = tuple[int, tuple[str, ...]]
"""Number of the initial world, and names of the tasks."""


def sample_chains(number: int = LIST) -> list[Chain]:
    """Return the reference's list of chains; a shorter list is another one, not the beginning of a longer one."""
    worlds = initial_worlds()
    shares = [len(part) for part in np.array_split(np.arange(number), len(worlds))]
    chains = [
        (index, tasks) for index, share in enumerate(shares) for tasks in _chains_from(worlds[index], index, share)
    ]
    np.random.RandomState(0).shuffle(chains)
    return chains


def _chains_from(world: World, seed: int, number: int) -> list[tuple[str, ...]]:
    """Draw chains that are valid in a world."""
    names = list(TASKS)
    first = [bool(TASKS[name].results(world)) for name in names]
    random = np.random.RandomState(seed)
    valid = cache(lambda drawn: chain_is_valid(world, tuple(names[task] for task in drawn)))
    found: list[tuple[str, ...]] = []
    while len(found) < number:
        drawn = random.permutation(len(names))[:LENGTH].tolist()
        if first[drawn[0]] and valid(tuple(drawn)):
            found.append(tuple(names[task] for task in drawn))
    return found


def write_chains(chains: list[Chain], path: Path = FILE) -> None:
    """Write a list of chains."""
    names = list(TASKS)
    lines = [" ".join(map(str, (world, *map(names.index, tasks)))) for world, tasks in chains]
    path.write_text("\n".join(lines) + "\n")


def read_chains() -> list[Chain]:
    """Return the kept list of chains."""
    names = list(TASKS)
    rows = [[int(number) for number in line.split()] for line in FILE.read_text().splitlines()]
    return [(world, tuple(names[task] for task in tasks)) for world, *tasks in rows]


def checksum(chains: list[Chain]) -> str:
    """Return the SHA-256 of a list of chains."""
    return hashlib.sha256(repr([tasks for _, tasks in chains]).encode()).hexdigest()


if __name__ == "__main__":
    write_chains(sample_chains())
    sys.stdout.write(f"{FILE}: {checksum(read_chains())}\n")
