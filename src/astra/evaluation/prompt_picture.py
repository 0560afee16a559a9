"""Draw a prompt of words and pictures as one image, for videos."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from astra.objects import PLACEHOLDER, Pictures

PAPER, INK = (255, 255, 255), (30, 30, 30)
"""Colors of background and text."""
LINE, MARGIN, SPACE = 40, 8, 4
"""Height of a line, left and right margins, and the gap between words, in pixels."""
SIDE = 36
"""Height and width of a crop, in pixels."""


def prompt_picture(instruction: str, pictures: Pictures, width: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Draw a prompt in lines, with the objects of each placeholder from the first view.

    Args:
        instruction: words and placeholders, such as "Put the {dragged_obj} into the {base_obj}."
        pictures: pictures of the placeholders; a placeholder without pictures keeps its name.
        width: width of the image, in pixels.
    """
    pieces: list[str | Image.Image] = []
    for number, part in enumerate(PLACEHOLDER.split(instruction)):  # words and placeholder names alternate
        if number % 2 == 0:
            pieces += part.split()
        elif part in pictures:
            shown = next(iter(pictures[part].values()))
            pieces += [enlarged(crop) for crop in shown["crops"][shown["valid"]]]
        else:
            pieces.append(f"{{{part}}}")
    return np.asarray(draw_in_lines(pieces, width))


def enlarged(crop: UInt8[np.ndarray, "_ _ 3"]) -> Image.Image:
    """Return a crop at the size of a line."""
    return Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def draw_in_lines(pieces: Sequence[str | Image.Image], width: int) -> Image.Image:
    """Draw words and pictures one after the other, with line breaks; no picture may be higher than a line."""
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
