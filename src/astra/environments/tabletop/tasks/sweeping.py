"""Tasks that sweep small blocks into a zone: sweep_without_exceeding, sweep_without_touching.

Source: the tasks of VIMA-Bench (Jiang et al., 2022): a rectangle that is open towards the viewer, one to three blocks
of each of two textures, and a line that no block may touch, inside the rectangle or in front of it; also sizes and
places.
Deviation: blocks start at least 0.045 m apart, and scenes that the expert cannot solve are sampled again.
"""

import math

from astra.environments.tabletop.goals import SweepGoal
from astra.environments.tabletop.layout import EpisodeSetup, Layout, NoRoomError, single_object
from astra.environments.tabletop.table_object import X_RANGE

NUMBERS = {"any": 1, "one": 1, "two": 2, "three": 3}
"""Words for numbers of blocks. "all" is added for all blocks. As in VIMA-Bench, "any" means one."""
PILES = ((-0.22, -0.04), (0.03, 0.21))
"""Minimum and maximum y of the two piles, in meters."""
PILE_X = (0.57, 0.73)
"""Minimum and maximum x of the piles, in meters."""
BETWEEN = 0.045
"""Minimum distance between two blocks, in meters."""
_LONG_SIDE = 0.27
_SHOWN_LARGER = 0.07


def sweep_without_exceeding(layout: Layout) -> EpisodeSetup:
    """Set up an episode: sweep some blocks into the rectangle, but not as far as the line inside it."""
    x = X_RANGE[0] + 0.16
    line = x + (float(layout.random.uniform(0.25, 0.6)) - 0.5) * _LONG_SIDE
    half = _LONG_SIDE / 2
    zone = (line + 0.02, x + half, -half, half)
    return _setup(layout, x, line, 0.3375, zone, "exceeding")


def sweep_without_touching(layout: Layout) -> EpisodeSetup:
    """Set up an episode: sweep some blocks into the rectangle, around the line in front of it."""
    x, deep, wide = X_RANGE[0] + 0.14, 0.172, 0.3
    zone = (x - deep / 2, x + deep / 2, -wide / 2, wide / 2)
    return _setup(layout, x, x + deep / 2 + 0.02, 0.1875, zone, "touching")


def _setup(
    layout: Layout, x: float, line_x: float, length: float, zone: tuple[float, float, float, float], what: str
) -> EpisodeSetup:
    content = layout.content
    texture, line_texture = layout.choose_several(content.container_textures, 2)
    block_texture, other_texture = layout.choose_several(content.object_textures, 2)
    bounds = layout.add(f"three-sided rectangle for {what}", texture, at=(x, 0.0), angle=0.0)
    line = layout.add(f"line for {what}", line_texture, at=(line_x, 0.0), angle=0.0)
    count = 1 + int(layout.random.choice(3, p=[0.5, 0.25, 0.25]))
    piles = list(PILES)
    if layout.coin_flip():
        piles.reverse()
    places: list[tuple[float, float]] = []
    blocks = [_block(layout, block_texture, piles[0], places) for _ in range(count)]
    others = [_block(layout, other_texture, piles[1], places) for _ in range(count)]
    words = [*(word for word, number in NUMBERS.items() if number <= count), "all"]
    word = layout.choose(words)
    half = length / 2
    return EpisodeSetup(
        instruction=f"Sweep {word} {{swept_obj}} into {{bounds}} without {what} {{constraint}}.",
        pictures={
            "swept_obj": single_object("block", block_texture, height=_SHOWN_LARGER),
            "bounds": layout.picture(bounds),
            "constraint": layout.picture(line),
        },
        objects=layout.objects,
        goals=SweepGoal(
            blocks=blocks,
            others=others,
            zone=zone,
            forbidden=(line_x - 0.02, line_x + 0.02, -half, half),
            number=NUMBERS.get(word, count),
        ),
        tool="spatula",
    )


def _block(layout: Layout, texture: str, pile: tuple[float, float], places: list[tuple[float, float]]) -> int:
    for _ in range(50):
        place = float(layout.random.uniform(*PILE_X)), float(layout.random.uniform(*pile))
        if all(math.dist(place, other) > BETWEEN for other in places):
            places.append(place)
            return layout.add("small block", texture, at=place)
    raise NoRoomError
