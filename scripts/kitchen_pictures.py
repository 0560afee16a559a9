"""Draw one episode of the expert for docs/franka-kitchen.md: a film strip in the manner of Figure 9, in both views.

python scripts/kitchen_pictures.py docs/images/franka-kitchen
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from astra.environments.franka_kitchen.environment import CAMERAS, FrankaKitchen, KitchenOptions
from astra.environments.franka_kitchen.expert import KitchenExpert
from astra.evaluation.pictures.style import write_small_figure

ASKED = ("microwave", "kettle", "top burner", "hinge cabinet")
SIDE = 160
"""Side of the frames in pixels."""


def main(folder: Path) -> None:
    """Write episode.png into a folder: the start, then the timestep at which each task is done."""
    kitchen = FrankaKitchen(KitchenOptions(observation="images", frame_size=SIDE, asked=ASKED))
    observation, _ = kitchen.reset(seed=0)
    expert, shown, ended, timestep = KitchenExpert(), [("start", observation)], False, 0
    while not ended:
        before = set(kitchen.done)
        observation, _, terminated, truncated, _ = kitchen.step(expert.act(kitchen))
        ended, timestep = terminated or truncated, timestep + 1
        shown += [(f"{name}, {timestep}", observation) for name in kitchen.done if name not in before]
    figure = Figure(figsize=(2 * len(shown), 4.3), layout="constrained")
    axes = figure.subplots(len(CAMERAS), len(shown))
    for column, (title, seen) in enumerate(shown):
        for row, name in enumerate(CAMERAS):
            axes[row, column].imshow(np.asarray(seen[name]))
            axes[row, column].set_axis_off()
        axes[0, column].set_title(title, fontsize=10)
    figure.suptitle(kitchen.instruction)
    kitchen.close()
    write_small_figure(figure, folder / "episode.png", width=1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
