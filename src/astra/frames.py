"""Resizing of camera frames: one function for the frames that are cached for training and those that a policy sees.

It computes with whole numbers, so every device, every processor and an exported policy return the same bytes.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

LOW = 2**8
"""Weights are multiplied in two parts, the lower one below this number, so that single precision loses no bit."""
MOST_BITS = 22
"""Bound of PyTorch on the bits of the sum of the weights."""


def resize(frames: UInt8[Tensor, "frames 3 _ _"], size: tuple[int, int]) -> UInt8[Tensor, "frames 3 _ _"]:
    """Return RGB frames of the given height and width, as bytes; frames that have this size are returned as they are.

    The filter is bilinear, with antialiasing. Resizing again changes nothing, so it makes no difference whether frames
    were resized before a policy sees them.
    """
    if frames.shape[-2:] == size:
        return frames
    if frames.device.type == "cpu" and not torch.compiler.is_compiling():
        return F.interpolate(frames, size, mode="bilinear", antialias=True).contiguous()
    return resize_by_products(frames, size)


def resize_by_products(
    frames: UInt8[Tensor, "frames 3 _ _"], size: tuple[int, int]
) -> UInt8[Tensor, "frames 3 height width"]:
    """Return what PyTorch's function returns on a CPU, by matrix products: for other devices, and for exports.

    Source: PyTorch resizes bytes with weights that are rounded to 16 bits, first each row, then each column.
    """
    (height, width), (tall, wide) = frames.shape[-2:], size
    pixels = frames.float()
    with torch.autocast(frames.device.type, enabled=False):
        if width != wide:
            pixels = _along_columns(pixels.mT, width, wide).mT
        if height != tall:
            pixels = _along_columns(pixels, height, tall)
    return pixels.to(torch.uint8).contiguous()


def cached_size(recorded: tuple[int, int], read: tuple[int, int] | None) -> tuple[int, int]:
    """Return the height and width at which frames are cached: those that a policy reads, unless they are larger.

    Args:
        recorded: Height and width of the recorded frames.
        read: Height and width to which the policy resizes frames; None if it takes them as they are.
    """
    return recorded if read is None or read[0] * read[1] >= recorded[0] * recorded[1] else read


def _along_columns(pixels: Float[Tensor, "*B n w"], length: int, wanted: int) -> Float[Tensor, "*B m w"]:
    weights, bits = _weights(length, wanted)
    whole = torch.from_numpy(weights).to(pixels.device)
    low = (whole % LOW).float() @ pixels
    high = (whole // LOW).float() @ pixels
    return ((high.int() * LOW + low.int() + 2 ** (bits - 1)) >> bits).clamp(0, 255).float()


@cache
def _weights(length: int, wanted: int) -> tuple[np.ndarray, int]:
    """Return the weights of `length` pixels in each of `wanted` ones as whole numbers, and the bits of their sum."""
    scale = length / wanted
    reach = max(scale, 1.0)  # half the width of the triangle, in pixels
    weights = np.zeros((wanted, length))
    for index in range(wanted):
        center = scale * (index + 0.5)
        first, until = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), length)
        near = 1 - np.abs(np.arange(first, until) - center + 0.5) / reach
        weights[index, first:until] = near.clip(0.0) / near.clip(0.0).sum()
    bits = 0
    while bits < MOST_BITS and int(weights.max() * 2 ** (bits + 1) + 0.5) < 2**15:
        bits += 1
    return np.floor(weights * 2**bits + 0.5).astype(np.int32), bits
