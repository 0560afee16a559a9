"""Frames to PNG and back, without loss."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError


def encode_png(frame: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """Compress one RGB frame."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, format="PNG", compress_level=3)
    return file.getvalue()


def decode_image(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Decompress one frame; PNG, and JPEG where somebody else wrote it.

    Raises:
        ValueError: if the bytes are no whole image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{len(data)} bytes are not a whole image: {error}") from error
