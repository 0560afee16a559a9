"""What an object-centric policy sees of a frame: for each object its bounding box and a crop of 32 x 32 pixels.

Source: VIMA (Jiang et al., 2022), its object tokens: the bounding box of the object's segmentation mask, the crop
padded to a square with zeros and resized by areas; objects with fewer than two visible pixels are left out.
Deviation: a box is the exact extent (x centre, y centre, height, width in pixels, not rounded down), and the resizing
is our own exact area average, also where a crop is enlarged.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float32, Integer, UInt8

CROP = 32
"""Side of a crop in pixels."""
MIN_PIXELS = 2
"""An object with fewer visible pixels is not seen."""


def object_views(
    frame: UInt8[np.ndarray, "h w 3"], segmentation: Integer[np.ndarray, "h w"], ids: Sequence[int], rows: int
) -> dict[str, np.ndarray]:
    """Return crops (rows, 32, 32, 3), boxes (rows, 4) and valid (rows,) of the objects with these ids, in this order.

    A box is x centre, y centre, height and width in pixels. What is not visible, and rows beyond the ids, is zeros and
    not valid.

    Args:
        frame: the picture.
        segmentation: the id of the object that each pixel shows.
        ids: the objects, one per row.
        rows: rows to return.

    Raises:
        ValueError: if there are more objects than rows.
    """
    if len(ids) > rows:
        raise ValueError(f"got {len(ids)} objects for {rows} rows")
    crops = np.zeros((rows, CROP, CROP, 3), dtype=np.uint8)
    boxes = np.zeros((rows, 4), dtype=np.float32)
    valid = np.zeros(rows, dtype=bool)
    for row, id_ in enumerate(ids):
        mask = segmentation == id_
        down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(down):
            continue
        top, bottom, left, right = int(down[0]), int(down[-1]) + 1, int(across[0]), int(across[-1]) + 1
        if np.count_nonzero(mask[top:bottom, left:right]) < MIN_PIXELS:
            continue
        boxes[row] = (left + right) / 2, (top + bottom) / 2, bottom - top, right - left
        crops[row] = square_crop(frame[top:bottom, left:right])
        valid[row] = True
    return {"crops": crops, "boxes": boxes, "valid": valid}


def square_crop(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "32 32 3"]:
    """Pad a picture to a square with zeros, centred, and resize it to 32 x 32 by areas."""
    height, width = picture.shape[:2]
    side = max(height, width)
    rows, columns = _areas(height, side), _areas(width, side)
    tall = rows @ picture.reshape(height, -1).astype(np.float32)
    return (columns @ tall.reshape(CROP, width, 3) + 0.5).astype(np.uint8)


@cache
def _areas(length: int, side: int) -> Float32[np.ndarray, "32 n"]:
    """Share of each of `length` pixels, centred on `side` pixels, in each of the 32 pixels."""
    first = (side - length) // 2
    starts = np.arange(CROP)[:, None] * side / CROP
    pixels = first + np.arange(length)[None]
    overlap = np.minimum(starts + side / CROP, pixels + 1) - np.maximum(starts, pixels)
    return (np.clip(overlap, 0, None) * CROP / side).astype(np.float32)
