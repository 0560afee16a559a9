"""Crops and bounding boxes of objects, computed from an image and its segmentation.

Source: VIMA (Jiang et al., 2022), its object tokens: the bounding box of the object's segmentation mask, and the crop,
padded to a square with zeros and resized by area averaging. Objects with fewer than two visible pixels are left out.
Deviation: a box is the exact extent in pixels (x center, y center, height, width, not rounded down). Resizing is our
own exact area average, also where a crop is enlarged.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float32, Int64, Integer, UInt8

from astra.objects import CROP

MIN_PIXELS = 2
"""Minimum number of visible pixels of an object; with fewer, it counts as hidden."""


def object_views(
    frame: UInt8[np.ndarray, "h w 3"], segmentation: Integer[np.ndarray, "h w"], ids: Sequence[int], rows: int
) -> dict[str, np.ndarray]:
    """Return crops (rows, 32, 32, 3), boxes (rows, 4) and valid (rows,) of the objects with these ids, in this order.

    A box is x center, y center, height and width in pixels. Rows of hidden objects, and rows beyond the ids, are zeros
    and not valid.

    Args:
        frame: RGB image.
        segmentation: object id of each pixel.
        ids: object id of each row.
        rows: number of rows to return.

    Raises:
        ValueError: if there are more ids than rows.
    """
    if len(ids) > rows:
        raise ValueError(f"got {len(ids)} objects for {rows} rows, expected at most {rows}")
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
    """Pad a picture to a square with zeros on both sides, and resize it to 32 x 32 pixels by area averaging."""
    side = max(picture.shape[:2])
    tall = _averages(picture, side)
    return (_averages(tall.transpose(1, 0, 2), side).transpose(1, 0, 2) + 0.5).astype(np.uint8)


def _averages(values: np.ndarray, side: int) -> Float32[np.ndarray, "32 w 3"]:
    """Average the first axis, centered on `side` pixels, over 32 equal intervals."""
    pixels, shares = _parts(len(values), side)
    return (values.take(pixels, axis=0) * shares[:, :, None, None]).sum(axis=0)


@cache
def _parts(length: int, side: int) -> tuple[Int64[np.ndarray, "k 32"], Float32[np.ndarray, "k 32"]]:
    """Return the pixels that each interval overlaps, and the share of each pixel in the average; 0 in the padding."""
    starts, part = np.arange(CROP) * side / CROP, side / CROP
    pixels = np.floor(starts).astype(np.int64) + np.arange(int(np.ceil(part)) + 1)[:, None]
    overlap = np.minimum(starts + part, pixels + 1) - np.maximum(starts, pixels)
    inside = pixels - (side - length) // 2
    shares = np.where((inside >= 0) & (inside < length), np.clip(overlap, 0, None) / part, 0)
    return inside.clip(0, length - 1), shares.astype(np.float32)
