"""Style of all pictures. Figures are independent objects: nothing uses the global state of pyplot."""

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from astra.attention.segments import Kind
from astra.storage.atomic import write_atomic

DOTS_PER_INCH = 150
INK, FAINT = "#222222", "#dddddd"
BLUE, ORANGE, GREEN, PURPLE, GRAY = "#0072b2", "#e69f00", "#009e73", "#aa4499", "#8c8c8c"
"""Colors for color-blind readers. Source: M. Okabe and K. Ito, "Color Universal Design"."""
KIND_COLORS = {Kind.PROMPT: GRAY, Kind.STATE: BLUE, Kind.QUERY: ORANGE, Kind.ACTION: GREEN}
"""Color of each kind of token."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure; sizes are in inches."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")


def plain(text: str) -> str:
    """Escape the dollar signs of a text that comes from data, so that it is not read as a formula."""
    return text.replace("$", r"\$")


def tidy(axes: Axes, title: str = "") -> None:
    """Keep two spines, a faint grid behind the data, and a small title at the left, without formulas."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, color=GRAY, labelcolor=INK)
    axes.set_title(plain(title), fontsize=10, loc="left", color=INK)


def png(figure: Figure) -> bytes:
    """Render a figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()


def write_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, and return its path."""
    return write_atomic(path, png(figure))


def write_small_figure(figure: Figure, path: Path, width: int, colors: int = 128) -> Path:
    """Write a figure as a small PNG of few colors, for the documentation, and return its path.

    Args:
        figure: The figure.
        path: The file.
        width: Width in pixels; the height follows.
        colors: Number of colors.
    """
    picture, file = Image.open(io.BytesIO(png(figure))).convert("RGB"), io.BytesIO()
    height = round(width * picture.height / picture.width)
    picture.resize((width, height)).quantize(colors).save(file, format="png", optimize=True)
    return write_atomic(path, file.getvalue())
