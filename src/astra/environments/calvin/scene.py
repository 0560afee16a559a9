"""The state of a scene by name: doors, button, switch, lights and blocks, in the same order in all scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from astra.environments.rotations import rotation_matrix

SCENES = ("A", "B", "C", "D")
"""The four scenes; they differ in the places of doors, drawer, button and switch, in textures and in the blocks."""
BLOCKS = ("red", "blue", "pink")
"""The three blocks by color, in the order of every state vector. Their sizes differ by scene."""
SPLITS = {"D": ("D",), "ABC": ("A", "B", "C"), "ABCD": SCENES}
"""Scenes of the demonstrations in the three settings of the benchmark, all of which are measured in D."""
STANDING = 0.7
"""Rise of a block's long axis, of length 1, from which on the block stands."""


@dataclass(frozen=True, kw_only=True)
class SceneState:
    """State of a scene, in meters and radians."""

    slider: float = 0.0
    """Position of the sliding door, from 0 at the right to about 0.28 at the left."""
    drawer: float = 0.0
    """Position of the drawer, from 0 (closed) to 0.22 (open)."""
    button: float = 0.0
    """Position of the button, from 0 to 0.02 (pressed)."""
    switch: float = 0.0
    """Position of the switch, from 0 (off, down) to 0.088 (on, up)."""
    lightbulb: bool = False
    """Whether the light bulb, which follows the switch, is on."""
    led: bool = False
    """Whether the LED, which the button toggles, is on."""
    blocks: Mapping[str, Float[np.ndarray, "6"]]
    """Position and Euler angles of each block, by color."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block at one moment."""

    position: Float[np.ndarray, "3"]
    quaternion: Float[np.ndarray, "4"]
    """Orientation as x, y, z, w."""
    velocity: Float[np.ndarray, "6"]
    """Linear and angular velocity."""
    body: int
    """Number of its body."""
    contacts: frozenset[tuple[int, int]]
    """Body and link of everything that it touches."""

    @property
    def touches(self) -> frozenset[int]:
        """Bodies that it touches."""
        return frozenset(body for body, _ in self.contacts)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything on which the success of tasks depends, at one moment."""

    slider: float
    drawer: float
    lightbulb: bool
    led: bool
    blocks: dict[str, Block]
    """Blocks by color."""
    robot_touches: frozenset[int]
    """Bodies that the robot touches."""
    robot: int
    """Number of the robot's body."""
    table: int
    """Number of the table's body."""
    links: dict[str, int]
    """Number of each link of the table, such as `drawer_link`."""


def find_scenes(names: Sequence[str]) -> tuple[str, ...]:
    """Return the scenes of some names, each a scene's letter or a split, such as ABC.

    Raises:
        ValueError: if there are none, or a name is unknown.
    """
    known = {**{letter: (letter,) for letter in SCENES}, **SPLITS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"CALVIN has the scenes {', '.join(SCENES)} and the splits {', '.join(SPLITS)}, got {unknown[0]!r}"
        )
    if not names:
        raise ValueError(f"demonstrations need a scene: name some of {', '.join(known)}")
    return tuple(dict.fromkeys(letter for name in names for letter in known[name]))


def rotation_columns(quaternion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "6"]:
    """Return the first two columns of the rotation matrix of a quaternion (x, y, z, w).

    Six numbers without a jump, unlike Euler angles and quaternions.
    """
    return rotation_matrix(quaternion)[:, :2].T.ravel()


def long_axis_yaw(columns: Float[np.ndarray, "*T 6"]) -> Float[np.ndarray, "*T"]:
    """Return the direction of a block's long axis on the table, or of another one if the block stands, in radians.

    Args:
        columns: First two columns of its rotation matrix.
    """
    lies = np.abs(columns[..., 2]) < STANDING
    along, across = (np.arctan2(columns[..., n + 1], columns[..., n]) for n in (0, 3))
    return np.where(lies, along, across)
