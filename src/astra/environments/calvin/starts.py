"""States in which episodes start: those of the protocol, and varied ones for demonstrations."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from jaxtyping import Float

from astra.environments.calvin.scene import BLOCKS, SceneState
from astra.environments.calvin.tasks import World

SWITCHED_ON = 0.088
"""Position of the switch when the light bulb is on."""
DOOR_LEFT, DRAWER_OPEN = 0.28, 0.22
"""Positions of the open sliding door and drawer in scene D."""
ON_TABLE = ((5.00000896e-02, -1.20000177e-01, 4.59990009e-01), (2.29995412e-01, -1.19995140e-01, 4.59990010e-01))
IN_CABINET = {
    "slider_left": (-2.40851662e-01, 9.24044687e-02, 4.60990009e-01),
    "slider_right": (7.03416330e-02, 9.24044687e-02, 4.60990009e-01),
}
"""Places of blocks in the protocol, in meters. Source: calvin, evaluation/utils.py."""
TURNED = (np.pi / 2 - np.pi / 8, np.pi / 2 + np.pi / 8)
"""Range of the blocks' yaw in the protocol, in radians."""
APART = 0.1
"""Smallest distance of blocks in varied starts, in meters."""


def fnv1(text: str) -> int:
    """Return the hash FNV-1 with 32 bits of a text in UTF-16, started at 0."""
    number = 0
    for byte in text.encode("utf-16-le"):
        number = (number * 0x01000193) % 2**32 ^ byte
    return number


def placement_seed(world: World) -> int:
    """Return the reference's seed of the blocks' places: the hash of the world's values as Python prints them."""
    return fnv1(str(dict(world).values()))


def protocol_start(world: World) -> SceneState:
    """Return the state of scene D in which the protocol's chains from a world start."""
    random = np.random.RandomState(placement_seed(world))
    places = [np.array(place) for place in ON_TABLE]
    random.shuffle(places)
    blocks = {}
    for color in BLOCKS:
        side = world[f"{color}_block"]
        second = color == "pink" or (color == "blue" and world["red_block"] == "table")
        place = IN_CABINET[side] if side in IN_CABINET else places[int(second)]
        blocks[color] = np.array([*place, 0.0, 0.0, random.uniform(*TURNED)])
    return SceneState(
        slider=DOOR_LEFT if world["slider"] == "left" else 0.0,
        drawer=DRAWER_OPEN if world["drawer"] == "open" else 0.0,
        switch=SWITCHED_ON if world["lightbulb"] else 0.0,
        lightbulb=bool(world["lightbulb"]),
        led=bool(world["led"]),
        blocks=blocks,
    )


def varied_start(
    world: World,
    surfaces: Mapping[str, Float[np.ndarray, "2 3"]],
    door_left: float,
    random: np.random.Generator,
) -> SceneState:
    """Return another state for a world: blocks anywhere on their surfaces, door and drawer a little off their ends.

    Args:
        world: A world without a grasped or stacked block or one in the drawer.
        surfaces: Lower and upper corner of the table's and the cabinet's places in the scene.
        door_left: Position of the sliding door at its left end.
        random: Generator.
    """
    while True:
        blocks = {}
        for color in BLOCKS:
            side = world[f"{color}_block"]
            place = random.uniform(*surfaces[side])
            any_turn = side == "table" and random.random() < 0.5
            yaw = random.uniform(-np.pi, np.pi) if any_turn else random.uniform(*TURNED)
            blocks[color] = np.array([*place, 0.0, 0.0, yaw])
        pairs = combinations(blocks.values(), 2)
        if all(np.linalg.norm(one[:2] - other[:2]) > APART for one, other in pairs):
            break
    off = 0.04 * random.random(2) * (random.random(2) < 0.5)
    return SceneState(
        slider=door_left - off[0] if world["slider"] == "left" else off[0],
        drawer=DRAWER_OPEN - off[1] if world["drawer"] == "open" else 0.3 * off[1],
        switch=SWITCHED_ON if world["lightbulb"] else 0.0,
        lightbulb=bool(world["lightbulb"]),
        led=bool(world["led"]),
        blocks=blocks,
    )
