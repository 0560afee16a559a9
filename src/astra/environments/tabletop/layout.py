"""Sample the layout of an episode: objects at free places of the table, and the episode that they make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from astra.environments.tabletop.goals import PlacementGoals, SweepGoal
from astra.environments.tabletop.levels import Content
from astra.environments.tabletop.shapes import CONTAINERS, SHAPES
from astra.environments.tabletop.table_object import X_RANGE, Y_RANGE, TableObject

GAP = 0.01
"""Minimum gap between the bounding circles of two objects, in meters."""
_CANDIDATES = 48


class NoRoomError(Exception):
    """Raised if the table has no room for another object; the layout is then sampled again."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Content of a placeholder in the prompt."""

    objects: tuple[TableObject, ...]
    scene: bool = False
    """Whether it shows a scene of objects on the table instead of a single object."""


@dataclass(frozen=True, kw_only=True)
class EpisodeSetup:
    """Prompt, initial objects and goals of one episode."""

    instruction: str
    """Text with placeholders in braces."""
    pictures: dict[str, Picture]
    """Picture of each placeholder."""
    objects: list[TableObject]
    goals: PlacementGoals | SweepGoal
    tool: Literal["suction", "spatula"] = "suction"


@dataclass(kw_only=True)
class Layout:
    """Sampler that places objects on the table. All random numbers come from `random`."""

    random: np.random.Generator
    content: Content
    objects: list[TableObject] = field(default_factory=list)
    reserved: list[tuple[float, float, float]] = field(default_factory=list)
    """Circles (x, y, radius) that stay free."""

    def choose(self, options: Sequence[str], *, excluding: Sequence[str] = ()) -> str:
        """Sample one option that is not in `excluding`; any option if all are excluded."""
        left = [option for option in options if option not in excluding] or list(options)
        return left[int(self.random.integers(len(left)))]

    def choose_several(self, options: Sequence[str], number: int) -> list[str]:
        """Sample options without replacement; repeat them if there are too few."""
        order: list[str] = [options[int(i)] for i in self.random.permutation(len(options))]
        return [order[i % len(order)] for i in range(number)]

    def coin_flip(self, probability: float = 0.5) -> bool:
        """Return True with the given probability."""
        return bool(self.random.random() < probability)

    def add(
        self,
        shape: str,
        texture: str,
        *,
        at: tuple[float, float] | None = None,
        angle: float | None = None,
        height: float = 0.0,
    ) -> int:
        """Add an object to the table, at a free place unless `at` is given, and return its index.

        Raises:
            NoRoomError: if there is no free place.
        """
        fixed = shape in CONTAINERS or shape.startswith(("three-sided rectangle", "line"))
        kind = SHAPES[shape]
        x, y = self.free_place(kind.radius) if at is None else at
        turned = float(self.random.uniform(-math.pi, math.pi)) if angle is None else angle
        obj = TableObject(shape=kind, texture=texture, x=x, y=y, angle=turned, height=height, fixed=fixed)
        self.objects.append(obj)
        return len(self.objects) - 1

    def add_all(self, looks: Sequence[tuple[str, str] | tuple[str, str, float]]) -> list[int]:
        """Add objects (shape, texture, height) in random order; return their indices in the order of `looks`.

        Objects that are added first have more room. A fixed order would reveal the target by its place.

        Raises:
            NoRoomError: if there is no free place.
        """
        indices = [0] * len(looks)
        for number in self.random.permutation(len(looks)):
            shape, texture, *height = looks[number]
            indices[number] = self.add(shape, texture, height=height[0] if height else 0.0)
        return indices

    def add_two_by_two(self, shapes: Sequence[str], textures: Sequence[str]) -> list[int]:
        """Add two shapes in two textures each; return the indices, beginning with the first shape in the first texture.

        Each object shares its shape with one other and its texture with one other. Only both together identify it, and
        nothing but the prompt reveals the target.

        Raises:
            NoRoomError: if there is no free place.
        """
        return self.add_all([(shape, texture) for shape in shapes[:2] for texture in textures[:2]])

    def free_place(self, radius: float, *, apart: float = 0.0) -> tuple[float, float]:
        """Return the center of a free circle in the workspace, at least `apart` meters from reserved centers.

        Raises:
            NoRoomError: if none was found.
        """
        taken = [(obj.x, obj.y, obj.shape.radius + radius + GAP) for obj in self.objects]
        taken += [(x, y, max(other + radius + GAP, apart)) for x, y, other in self.reserved]
        xs = self.random.uniform(X_RANGE[0] + radius, X_RANGE[1] - radius, _CANDIDATES)
        ys = self.random.uniform(Y_RANGE[0] + radius, Y_RANGE[1] - radius, _CANDIDATES)
        good = np.ones(_CANDIDATES, dtype=bool)
        for x, y, distance in taken:
            good &= (xs - x) ** 2 + (ys - y) ** 2 >= distance**2
        if not good.any():
            raise NoRoomError
        first = int(np.argmax(good))
        return float(xs[first]), float(ys[first])

    def picture(self, index: int) -> Picture:
        """Return a picture of an object of the table, single and upright."""
        obj = self.objects[index]
        return single_object(obj.shape.name, obj.texture)


def single_object(shape: str, texture: str, *, height: float = 0.0) -> Picture:
    """Return a picture of a single object, upright and centered."""
    return Picture(objects=(TableObject(shape=SHAPES[shape], texture=texture, x=0.5, y=0.0, height=height),))
