"""Draw the pictures of docs/tabletop.md: every task with its prompt, the levels, and the observations.

Run it as `python scripts/tabletop_pictures.py docs/images/tabletop`.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from astra.environments.object_views import CROP
from astra.environments.tabletop.drawing import HEIGHT, VIEWS, WHITE, WIDTH, draw, pixel
from astra.environments.tabletop.environment import Tabletop, TabletopConfig
from astra.environments.tabletop.levels import HELD_OUT_TASKS, TRAINING_TASKS
from astra.evaluation.prompt_picture import INK, MARGIN, PAPER, draw_in_lines, enlarged
from astra.objects import PLACEHOLDER
from astra.storage.atomic import write_atomic

ARROW = (220, 30, 30)


def write_tabletop_pictures(folder: Path, *, seed: int = 3) -> list[Path]:
    """Write the pictures, and return their paths."""
    environment = TabletopConfig().build()
    pictures = {
        "tasks-1": _stack([_task(environment, task, "L1", seed) for task in TRAINING_TASKS[:7]]),
        "tasks-2": _stack([_task(environment, task, "L1", seed) for task in TRAINING_TASKS[7:]]),
        "held-out-tasks": _stack([_task(environment, task, "L4", seed) for task in HELD_OUT_TASKS]),
        "levels": _stack([_task(environment, "visual_manipulation", level, seed) for level in ("L1", "L2", "L3")]),
        "tokens": _tokens(environment, seed),
    }
    paths = []
    for name, picture in pictures.items():
        file = io.BytesIO()
        picture.quantize(128).save(file, format="png", optimize=True)
        paths.append(write_atomic(folder / f"{name}.png", file.getvalue()))
    return paths


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _task(environment: Tabletop, task: str, level: str, seed: int) -> Image.Image:
    """Draw one episode: task and prompt on the left, both views with the expert's first action on the right."""
    environment.reset(seed=seed, options={"task": task, "level": level})
    width, views = 470, 2 * WIDTH + 3 * MARGIN
    prompt = _prompt(environment, width)
    sheet = Image.new("RGB", (width + views, max(HEIGHT + 2 * MARGIN, prompt.height + 32)), PAPER)
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN), f"{level}  {task}", fill=INK, font=_font(15))
    sheet.paste(prompt, (0, 30))
    action = environment.expert_action().tolist()
    for number, view in enumerate(VIEWS):
        frame = Image.fromarray(draw(environment.scene.objects, view)[0])
        ends = [pixel(action[i], action[i + 1], 0.02, view)[::-1] for i in (0, 3)]
        pen = ImageDraw.Draw(frame)
        pen.line([*ends[0], *ends[1]], fill=ARROW, width=1)
        for radius, (x, y) in zip((3, 5), ends, strict=True):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ARROW)
        sheet.paste(frame, (width + MARGIN + number * (WIDTH + MARGIN), MARGIN))
    return sheet


def _prompt(environment: Tabletop, width: int) -> Image.Image:
    """Draw a prompt in lines: single objects as the crops that a policy sees, scenes as frames."""
    pieces: list[str | Image.Image] = []
    for number, part in enumerate(PLACEHOLDER.split(environment.instruction)):  # words and placeholders alternate
        if number % 2 == 0:
            pieces += part.split()
            continue
        shown = environment.setup.pictures[part]
        if shown.scene:
            frame = draw(shown.objects, "top")[0]
            pieces.append(Image.fromarray(frame).resize((76, 38), Image.Resampling.BOX))
        else:
            pieces.append(enlarged(environment.prompt_pictures[part]["top"]["crops"][0]))
    return draw_in_lines(pieces, width)


def _tokens(environment: Tabletop, seed: int) -> Image.Image:
    """Draw both views with bounding boxes, and the crops below."""
    observation, _ = environment.reset(seed=seed, options={"task": "scene_understanding", "level": "L1"})
    scale, columns = 2, []
    for view in VIEWS:
        frame = Image.fromarray(draw(environment.scene.objects, view)[0]).resize(
            (WIDTH * scale, HEIGHT * scale), Image.Resampling.NEAREST
        )
        pen = ImageDraw.Draw(frame)
        crops = np.full((CROP + 2, 8 * (CROP + 2), 3), WHITE, dtype=np.uint8)
        for row in range(8):
            x, y, height, width = observation[f"observation.objects.{view}.boxes"][row] * scale
            if observation[f"observation.objects.{view}.valid"][row]:
                pen.rectangle((x - width / 2, y - height / 2, x + width / 2, y + height / 2), outline=ARROW)
                pen.text((x - width / 2 + 2, y - height / 2), str(row), fill=ARROW, font=_font(13))
            crops[1 : CROP + 1, row * (CROP + 2) + 1 : (row + 1) * (CROP + 2) - 1] = observation[
                f"observation.objects.{view}.crops"
            ][row]
        strip = Image.fromarray(crops).resize((WIDTH * scale, 64), Image.Resampling.NEAREST)
        column = Image.new("RGB", (WIDTH * scale, HEIGHT * scale + 64 + 24), PAPER)
        ImageDraw.Draw(column).text((2, 2), f"{view} view: boxes and crops of rows 0 to 7", fill=INK, font=_font(13))
        column.paste(frame, (0, 22))
        column.paste(strip, (0, HEIGHT * scale + 24))
        columns.append(column)
    sheet = Image.new("RGB", (2 * columns[0].width + 3 * MARGIN, columns[0].height + 2 * MARGIN), PAPER)
    for number, column in enumerate(columns):
        sheet.paste(column, (MARGIN + number * (column.width + MARGIN), MARGIN))
    return sheet


def _stack(sheets: list[Image.Image]) -> Image.Image:
    page = Image.new("RGB", (sheets[0].width, sum(sheet.height + 1 for sheet in sheets)), (190, 190, 190))
    y = 0
    for sheet in sheets:
        page.paste(sheet, (0, y))
        y += sheet.height + 1
    return page


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/tabletop_pictures.py FOLDER")
    print("\n".join(str(path) for path in write_tabletop_pictures(Path(sys.argv[1]))))
