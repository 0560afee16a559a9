"""What an object-centric policy sees of a frame: for each object its bounding box and a crop of 32 x 32 pixels.

Source: VIMA (Jiang et al., 2022), its object tokens: the bounding box of the object's segmentation mask, the crop
padded to a square with zeros and resized by areas; objects with fewer than two visible pixels are left out.
Deviation: a box is the exact extent (x center, y center, height, width in pixels, not rounded down), and the resizing
is our own exact area average, also where a crop is enlarged.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float32, Int64, Integer, UInt8

from astra.objects import CROP

MIN_PIXELS = 2
"""An object with fewer visible pixels is not seen."""


def object_views(
    frame: UInt8[np.ndarray, "h w 3"], segmentation: Integer[np.ndarray, "h w"], ids: Sequence[int], rows: int
) -> dict[str, np.ndarray]:
    """Return crops (rows, 32, 32, 3), boxes (rows, 4) and valid (rows,) of the objects with these ids, in this order.

    A box is x center, y center, height and width in pixels. What is not visible, and rows beyond the ids, is zeros and
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
    """Pad a picture to a square with zeros, centered, and resize it to 32 x 32 by areas."""
    side = max(picture.shape[:2])
    tall = _averages(picture, side)
    return (_averages(tall.transpose(1, 0, 2), side).transpose(1, 0, 2) + 0.5).astype(np.uint8)


def _averages(values: np.ndarray, side: int) -> Float32[np.ndarray, "32 w 3"]:
    """Average the first axis, centered on `side` pixels, over 32 equal parts."""
    pixels, shares = _parts(len(values), side)
    return (values.take(pixels, axis=0) * shares[:, :, None, None]).sum(axis=0)


@cache
def _parts(length: int, side: int) -> tuple[Int64[np.ndarray, "k 32"], Float32[np.ndarray, "k 32"]]:
    """Return the pixels that each part touches, and the share of each in it; 0 for what lies in the padding."""
    starts, part = np.arange(CROP) * side / CROP, side / CROP
    pixels = np.floor(starts).astype(np.int64) + np.arange(int(np.ceil(part)) + 1)[:, None]
    overlap = np.minimum(starts + part, pixels + 1) - np.maximum(starts, pixels)
    inside = pixels - (side - length) // 2
    shares = np.where((inside >= 0) & (inside < length), np.clip(overlap, 0, None) / part, 0)
    return inside.clip(0, length - 1), shares.astype(np.float32)
