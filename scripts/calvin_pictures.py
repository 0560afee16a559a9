"""Draw the expert in CALVIN for docs/calvin.md: a chain of five instructions in the manner of Figures 14 to 16.

python scripts/calvin_pictures.py docs/images/calvin
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from astra.environments.calvin.environment import Calvin, CalvinOptions
from astra.environments.calvin.expert import CalvinExpert
from astra.evaluation.pictures.style import write_small_figure

SEED = 100_001
"""Seed of the episode, which numbers the chain."""
FRAMES = 4
"""Frames per instruction."""


def main(folder: Path) -> None:
    """Write chain.png into a folder: a row per instruction, with the sentence above its frames."""
    calvin = Calvin(CalvinOptions())
    calvin.reset(seed=SEED)
    rows: list[tuple[str, list[np.ndarray]]] = []
    ended, expert = False, CalvinExpert(SEED)
    while not ended:
        if not rows or rows[-1][0] != calvin.instruction:
            rows.append((calvin.instruction, []))
            expert = CalvinExpert(SEED)
        rows[-1][1].append(calvin.frame())
        *_, terminated, truncated, _ = calvin.step(expert.act(calvin))
        ended = terminated or truncated
    rows[-1][1].append(calvin.frame())
    calvin.close()
    figure = Figure(figsize=(2 * FRAMES, 2.2 * len(rows)), layout="constrained")
    parts = np.asarray(figure.subfigures(len(rows), 1, squeeze=False)).ravel()
    for part, (instruction, frames) in zip(parts, rows, strict=True):
        part.suptitle(instruction, fontsize=11)
        for axes, place in zip(part.subplots(1, FRAMES), np.linspace(0, len(frames) - 1, FRAMES), strict=True):
            axes.imshow(frames[round(place)])
            axes.set_axis_off()
    write_small_figure(figure, folder / "chain.png", width=800)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
