"""The combinations of target and container, which are seen in training or not, and the levels at which policies play.

`combinations.json` is the list: what is seen is decided there, before any policy is trained.

Source: section 4.4 and Table 2 of the paper. Its objects are not public, so these are ours.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from astra.environments.maniskill.objects import CONTAINERS, SIZES, Difficulty, Target, instruction_for

FILE = Path(__file__).with_name("combinations.json")
UNSEEN = ("color", "size", "shape", "container", "all")
"""Levels of combinations that training never shows, by what is new in them."""
SEEN = {"seen-0": (0, 0), "seen-2-4": (2, 4), "seen-6-8": (6, 8)}
"""Levels of combinations that training shows, with the range of the number of distractors."""
TRAINING = "train"
"""Level of the demonstrations: the seen combinations with 2 to 4 distractors."""
LEVELS = (*UNSEEN, *SEEN)
"""Levels at which policies are measured, the columns of Table 2."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A target and the container into which it belongs."""

    target: Target
    """Object that is to be grasped."""
    container: str
    """Word of the container."""

    @property
    def name(self) -> str:
        """Name of the task, such as small-red-ball-into-bowl."""
        return f"{self.target.words} into {self.container}".replace(" ", "-")

    @property
    def instruction(self) -> str:
        """Instruction of the task."""
        return instruction_for(self.target, self.container)


def parse(text: str) -> Combination:
    """Return the combination that a line of the file describes, such as "small red ball into bowl".

    Raises:
        ValueError: if it has another form, or an unknown word.
    """
    words, _, container = text.partition(" into ")
    size, _, rest = words.partition(" ") if words.split(" ")[0] in SIZES else ("", "", words)
    color, _, shape = rest.partition(" ")
    if container not in CONTAINERS:
        raise ValueError(f"there is no container {container!r} in {text!r}; there are {', '.join(CONTAINERS)}")
    return Combination(target=Target(shape=shape, color=color, size=size), container=container)


@functools.cache
def combinations() -> Mapping[str, tuple[Combination, ...]]:
    """Return the combinations of the file: those that are seen, and those of each unseen level."""
    return {part: tuple(map(parse, lines)) for part, lines in json.loads(FILE.read_text()).items()}


def combinations_of(level: str) -> tuple[Combination, ...]:
    """Return the combinations of a level.

    Raises:
        ValueError: if there is no such level.
    """
    if level not in (TRAINING, *LEVELS):
        raise ValueError(f"ManiSkill has no level {level!r}; its levels are {', '.join((TRAINING, *LEVELS))}")
    return combinations()[level if level in UNSEEN else "seen"]


def distractors_of(level: str) -> tuple[int, int]:
    """Return the smallest and the largest number of distractors of a level."""
    return SEEN.get(level, SEEN["seen-2-4"])


def find_combination(level: str, name: str) -> Combination:
    """Return the combination of a level by its name.

    Raises:
        ValueError: if there is no such level, or it has no such combination.
    """
    known = {combination.name: combination for combination in combinations_of(level)}
    if name not in known:
        raise ValueError(f"level {level} has no task {name!r}; it has {', '.join(known)}")
    return known[name]


def names_by_difficulty() -> dict[Difficulty, tuple[str, ...]]:
    """Return the names of all combinations, by the difficulty of their target."""
    names: dict[Difficulty, list[str]] = {"easy": [], "medium": [], "hard": []}
    for those in combinations().values():
        for combination in those:
            names[combination.target.difficulty].append(combination.name)
    return {difficulty: tuple(those) for difficulty, those in names.items()}
