"""Distractors: objects that are as new as the target and belong into the container as much, so that one must read.

In training the visible container has only five or six targets, and at an unseen level the target is new. If distractors
were any objects, a policy that never reads its instruction would know the target by that.
"""

import functools
import itertools

import numpy as np

from astra.environments.maniskill.levels import UNSEEN, Combination, combinations, distractors_of
from astra.environments.maniskill.objects import COLORS, SHAPES, SIZES, Target, is_graspable


def sample_distractors(level: str, combination: Combination, random: np.random.Generator) -> tuple[Target, ...]:
    """Sample the distractors of an episode: those that fit the container just as the target does come first.

    No two objects of an episode, the target included, share shape and color. Where training never shows the target's
    color, it shows none of theirs.

    Args:
        level: Level of the episode.
        combination: Target and container.
        random: Source of random numbers.
    """
    low, high = distractors_of(level)
    count = int(random.integers(low, high + 1))
    known = {each.target.color for each in combinations()["seen"]}
    offered = [each for each in candidates_of(level) if (each.color in known) == (combination.target.color in known)]
    shuffled = [offered[number] for number in random.permutation(len(offered))]
    target, container = combination.target, combination.container
    fit = misfit(target, container)
    chosen = {(target.shape, target.color): target}
    for each in sorted(shuffled, key=lambda other: abs(misfit(other, container) - fit)):
        if len(chosen) > count:
            break
        chosen.setdefault((each.shape, each.color), each)
    return tuple(chosen.values())[1:]


def misfit(target: Target, container: str) -> int:
    """Return how little training tells that an object belongs into a container.

    Returns:
        0: training places it there; 1: training places others of its shape there; 2: neither.
    """
    placed = [each.target for each in combinations()["seen"] if each.container == container]
    if target in placed:
        return 0
    return 1 if target.shape in {each.shape for each in placed} else 2


@functools.cache
def candidates_of(level: str) -> tuple[Target, ...]:
    """Return the objects from which the distractors of a level come.

    At `color` they are colored as training never shows their shape and size, at `size` as large as it never shows their
    shape, at `shape` shaped as it shows nothing, at `all` new in shape and color. Elsewhere training shows them as they
    are, all as targets.
    """
    seen = [each.target for each in combinations()["seen"]]
    if level not in UNSEEN or level == "container":
        return tuple(seen)
    painted = {(each.shape, each.color) for each in seen}
    sized = {(each.shape, each.size) for each in seen}
    shapes, colors = {each.shape for each in seen}, {each.color for each in seen}

    def is_as_new(target: Target) -> bool:
        is_painted = (target.shape, target.color) in painted
        is_sized = (target.shape, target.size) in sized
        match level:
            case "color":
                return is_sized and not is_painted
            case "size":
                return is_painted and not is_sized
            case "shape":
                return target.shape not in shapes and target.color in colors and not target.size
            case _:
                return target.shape not in shapes and target.color not in colors

    every = (
        Target(shape=shape, color=color, size=size) for shape, color, size in itertools.product(SHAPES, COLORS, SIZES)
    )
    return tuple(each for each in every if is_graspable(each) and is_as_new(each))
