"""Render the tabletop and its exact segmentation, from above and obliquely from the front.

Every object is a prism: its outline, looked up in a precomputed table, extruded to its height. The front view looks
down at 45 degrees, so depth and height both appear shorter, and near objects hide far ones.

Source: VIMA-Bench (Jiang et al., 2022): two near-orthographic views, top and front, of 128 x 256 pixels.
Deviation: no light or shadow; the sides of an object have the texture of its top, darker.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int8, Int32, Int64, UInt8

from astra.environments.tabletop.shapes import SHAPES, TEXELS
from astra.environments.tabletop.table_object import X_RANGE, TableObject
from astra.environments.tabletop.textures import TEXELS as TEXTURE_TEXELS
from astra.environments.tabletop.textures import texture

View = Literal["top", "front"]
"""Camera."""
VIEWS: tuple[View, View] = ("top", "front")
"""All cameras."""
HEIGHT, WIDTH = 128, 256
"""Size of a frame, in pixels."""
SMALL_HEIGHT, SMALL_WIDTH = HEIGHT // 2, WIDTH // 2
"""Size of the frames in observations, in pixels. Source: the Gato of Jiang et al. 2023 takes 64 x 128 pixels."""
PIXELS_PER_METER = 240.0
"""Scale of a frame."""
FORESHORTENING = math.sqrt(0.5)
"""Factor by which depth and height appear shorter from the front."""
TABLE, WHITE = 214, 255
"""Gray of the table, and of the empty background in the picture of a single object."""
NO_OBJECT = -1
"""Segmentation value of pixels without an object."""
SIDE_BRIGHTNESS = 0.6
"""Brightness of an object's sides."""
_CENTER_X = sum(X_RANGE) / 2
_MIDDLE = {"top": HEIGHT / 2, "front": HEIGHT - 4 - 0.25 * PIXELS_PER_METER * FORESHORTENING}


def draw(
    objects: Sequence[TableObject], view: View, *, background: int = TABLE
) -> tuple[UInt8[np.ndarray, "128 256 3"], Int8[np.ndarray, "128 256"]]:
    """Render a frame, and the index of the object at each pixel; -1 where there is none."""
    frame = np.full((HEIGHT, WIDTH, 3), background, dtype=np.uint8)
    segmentation = np.full((HEIGHT, WIDTH), NO_OBJECT, dtype=np.int8)
    for index in sorted(range(len(objects)), key=lambda i: _order(objects, i)):
        obj = objects[index]
        place = obj.x, obj.y, obj.z, obj.angle, obj.height
        pixels, colors = _patch(obj.shape.name, obj.texture, *place, view)
        frame.reshape(-1, 3)[pixels] = colors
        segmentation.reshape(-1)[pixels] = index
    return frame, segmentation


def downsample(frame: UInt8[np.ndarray, "128 256 3"]) -> UInt8[np.ndarray, "64 128 3"]:
    """Halve a frame by averaging squares of 2 x 2 pixels; halves are rounded up."""
    rows = frame.astype(np.uint16)
    rows = rows[::2] + rows[1::2]
    return ((rows[:, ::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


def pixel(x: float, y: float, z: float, view: View) -> tuple[float, float]:
    """Return row and column of a point of the world."""
    slant = FORESHORTENING if view == "front" else 1.0
    lift = z if view == "front" else 0.0
    return _MIDDLE[view] + PIXELS_PER_METER * slant * (x - _CENTER_X - lift), WIDTH / 2 + PIXELS_PER_METER * y


def _order(objects: Sequence[TableObject], index: int) -> tuple[bool, float, float]:
    """Return the drawing order: flat objects first, then from far to near, supported ones after their support."""
    obj = root = objects[index]
    while root.support is not None:
        root = objects[root.support]
    flat = obj.support is None and obj.height < 0.003
    return not flat, root.x if root.height >= 0.003 else obj.x, obj.z


@lru_cache(maxsize=256)
def _patch(
    shape: str, look: str, x: float, y: float, z: float, angle: float, height: float, view: View
) -> tuple[Int64[np.ndarray, " n"], UInt8[np.ndarray, "n 3"]]:
    """Return the flat pixel indices that an object covers and their colors; cached while the object does not move."""
    slant = FORESHORTENING if view == "front" else 1.0
    sides = round(height * PIXELS_PER_METER * FORESHORTENING) if view == "front" else 0
    row, column = pixel(x, y, z + height, view)
    reach = SHAPES[shape].radius * PIXELS_PER_METER + 1
    top, bottom = max(int(row - reach * slant), 0), min(int(row + reach * slant) + sides + 1, HEIGHT)
    left, right = max(int(column - reach), 0), min(int(column + reach) + 1, WIDTH)
    outline, face, side = _tables(shape, look)
    places = np.arange(top, bottom) + (0.5 - row), np.arange(left, right) + (0.5 - column)
    texels = _texels(SHAPES[shape].size, angle, *places, slant)
    covered = outline[texels]
    pixels = (np.arange(top, bottom) * WIDTH)[:, None] + np.arange(left, right)[None, :]
    found, colors = [pixels[covered]], [face[texels[covered]]]
    if sides and covered.size:
        rows = np.arange(bottom - top)[:, None]
        nearest = np.maximum.accumulate(np.where(covered, rows, -TEXELS), axis=0)
        below, across = np.nonzero(~covered & (rows - nearest <= sides))
        found.append(pixels[below, across])
        colors.append(side[texels[nearest[below, across], across]])
    return np.concatenate(found), np.concatenate(colors)


def _texels(
    size: tuple[float, float],
    angle: float,
    down: Float[np.ndarray, " h"],
    right: Float[np.ndarray, " w"],
    slant: float,
) -> Int32[np.ndarray, "h w"]:
    """Return the texel of the object at each pixel, as an index into a table with an empty rim."""
    scale = TEXELS / PIXELS_PER_METER
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = (down * (scale / slant)).astype(np.float32)[:, None], (right * scale).astype(np.float32)[None, :]
    size_x, size_y = size
    middle = TEXELS / 2 + 1
    i = x * (cos / size_x) + (y * (sin / size_x) + middle)
    j = x * (-sin / size_y) + (y * (cos / size_y) + middle)
    np.clip(i, 0, TEXELS + 1, out=i)
    np.clip(j, 0, TEXELS + 1, out=j)
    return i.astype(np.int32) * (TEXELS + 2) + j.astype(np.int32)


@lru_cache(maxsize=4096)
def _tables(shape: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each texel whether it is covered, its color on top, and its color on the sides."""
    tone = SHAPES[shape].tone
    repeats = TEXELS // TEXTURE_TEXELS
    colors = texture(name).repeat(repeats, axis=0).repeat(repeats, axis=1)
    face = (colors * tone[..., None]).astype(np.uint8)
    side = (colors * SIDE_BRIGHTNESS).astype(np.uint8)
    rim = ((1, 1), (1, 1), (0, 0))
    return np.pad(tone > 0, 1).ravel(), np.pad(face, rim).reshape(-1, 3), np.pad(side, rim).reshape(-1, 3)
