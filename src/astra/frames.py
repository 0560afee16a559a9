"""Resizing of camera frames: one function for the frames that are cached for training and those that a policy sees."""

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F


def resize(frames: UInt8[Tensor, "frames 3 _ _"], size: tuple[int, int]) -> UInt8[Tensor, "frames 3 _ _"]:
    """Return RGB frames of the given height and width, as bytes; frames that have this size are returned as they are.

    Resizing again changes nothing, so it makes no difference whether frames were resized before a policy sees them.
    """
    if frames.shape[-2:] == size:
        return frames
    if frames.is_cuda:
        frames = frames.contiguous()
    pixels = F.interpolate(frames.float(), size, mode="bilinear", antialias=True)  # on the CPU, any order of memory
    return pixels.round_().clamp_(0, 255).to(torch.uint8, memory_format=torch.contiguous_format)


def cached_size(recorded: tuple[int, int], read: tuple[int, int] | None) -> tuple[int, int]:
    """Return the height and width at which frames are cached: those that a policy reads, unless they are larger.

    Args:
        recorded: Height and width of the recorded frames.
        read: Height and width to which the policy resizes frames; None if it takes them as they are.
    """
    return recorded if read is None or read[0] * read[1] >= recorded[0] * recorded[1] else read
