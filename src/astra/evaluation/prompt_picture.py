"""A prompt of words and pictures as one picture, so that a video shows what was asked for."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from astra.objects import PLACEHOLDER, Pictures

PAPER, INK = (255, 255, 255), (30, 30, 30)
LINE, MARGIN, SPACE = 40, 8, 4
"""Height of a line, margins at left and right, and the space between words, in pixels."""
SIDE = 36
"""Of a crop, in pixels."""


def prompt_picture(instruction: str, pictures: Pictures, width: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Set a prompt in lines; at each placeholder stand its objects, as the first of their views shows them.

    Args:
        instruction: words and placeholders, such as "Put the {dragged_obj} into the {base_obj}."
        pictures: what stands at the placeholders; one that is not among them keeps its name.
        width: of the picture, in pixels.
    """
    pieces: list[str | Image.Image] = []
    for number, part in enumerate(PLACEHOLDER.split(instruction)):  # words and names of placeholders in turn
        if number % 2 == 0:
            pieces += part.split()
        elif part in pictures:
            shown = next(iter(pictures[part].values()))
            pieces += [enlarged(crop) for crop in shown["crops"][shown["valid"]]]
        else:
            pieces.append(f"{{{part}}}")
    return np.asarray(set_in_lines(pieces, width))


def enlarged(crop: UInt8[np.ndarray, "_ _ 3"]) -> Image.Image:
    """Give a crop as it stands in a line."""
    return Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def set_in_lines(pieces: Sequence[str | Image.Image], width: int) -> Image.Image:
    """Set words and pictures, none higher than a line, one after the other."""
    font, x, y = ImageFont.load_default(13), MARGIN, 0
    placed: list[tuple[int, int, str | Image.Image]] = []
    for piece in pieces:
        wide = piece.width if isinstance(piece, Image.Image) else int(font.getlength(piece))
        if x + wide > width - MARGIN and x > MARGIN:
            x, y = MARGIN, y + LINE
        placed.append((x, y, piece))
        x += wide + SPACE
    sheet = Image.new("RGB", (width, y + LINE), PAPER)
    for x, y, piece in placed:
        if isinstance(piece, Image.Image):
            sheet.paste(piece, (x, y + (LINE - piece.height) // 2))
        else:
            ImageDraw.Draw(sheet).text((x, y + 12), piece, fill=INK, font=font)
    return sheet
