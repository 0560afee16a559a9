"""Draw the pictures of docs/maniskill.md: every level through both cameras, and a regrasp as a film strip and a film.

python scripts/maniskill_pictures.py docs/images/maniskill
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from astra.environments.maniskill.demonstrations import ManiSkillDemonstrationOptions, play
from astra.environments.maniskill.environment import ManiSkill
from astra.environments.maniskill.expert import ManiSkillExpert
from astra.environments.maniskill.levels import LEVELS, combinations_of
from astra.environments.maniskill.world import CAMERAS, ManiSkillOptions
from astra.evaluation.pictures.style import write_small_figure
from astra.evaluation.pictures.videos import film_strip

SIDE = 128
"""Side of the frames in pixels."""
STEADY = ManiSkillDemonstrationOptions(noise=0.0, kicks=0.0, slips=0.0, frame_size=SIDE)
SLIPPING = ManiSkillDemonstrationOptions(noise=0.0, kicks=0.0, slips=1.0, observation="state")
REGRASP = {"level": "seen-2-4", "task": "blue-brick-into-tray"}
"""Combination of the regrasp, the paper's blue tea box."""


def draw_levels(folder: Path) -> None:
    """Write levels.png: for each level the start through both cameras, and the end."""
    environment = ManiSkill(ManiSkillOptions(frame_size=SIDE))
    figure = Figure(figsize=(2 * len(LEVELS), 6.8), layout="constrained")
    axes = figure.subplots(3, len(LEVELS))
    for column, level in enumerate(LEVELS):
        those = combinations_of(level)
        task = those[column % len(those)].name
        recording = play(environment, {"level": level, "task": task}, 3 + column, STEADY, ManiSkillExpert)
        shown = [*(recording.observations[0][name] for name in CAMERAS), environment.observe()[next(iter(CAMERAS))]]
        for row, picture in enumerate(shown):
            axes[row, column].imshow(picture)
            axes[row, column].set_axis_off()
        words = environment.instruction.replace(" and", "\nand")
        axes[0, column].set_title(f"{level}\n{words}", fontsize=9)
    environment.close()
    write_small_figure(figure, folder / "levels.png", width=1400, colors=256)


def draw_regrasp(folder: Path, seed: int = 11) -> None:
    """Write regrasp.png and regrasp-film.png: the first grasp slips, and the expert grasps again."""
    environment = ManiSkill(ManiSkillOptions(observation="state"))
    recording = play(environment, REGRASP, seed, SLIPPING, ManiSkillExpert)
    environment.reset(seed=seed, options=REGRASP)
    frames, done = [environment.frame()], {}
    for action in recording.executed:
        *_, info = environment.step(action)
        frames.append(environment.frame())
        done = info["done"]
    title = f"{environment.instruction}: {len(recording.attempts)} attempts"
    strip = film_strip(frames, 10, title, {name: timestep + 3 for name, timestep in done.items()})
    write_small_figure(strip, folder / "regrasp.png", width=1000, colors=256)
    pictures = [Image.fromarray(np.asarray(frame)).resize((160, 160)).quantize(32) for frame in frames[::3]]
    last = {"duration": [150] * (len(pictures) - 1) + [1500], "loop": 0}
    pictures[0].save(folder / "regrasp-film.png", save_all=True, append_images=pictures[1:], optimize=True, **last)
    environment.close()


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    chosen.mkdir(parents=True, exist_ok=True)
    draw_levels(chosen)
    draw_regrasp(chosen)
