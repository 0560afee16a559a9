"""Draw the tasks of MT10 for docs/metaworld.md: both cameras in the middle of an episode of the expert.

python scripts/metaworld_pictures.py docs/images/metaworld
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from astra.environments.metaworld.environment import CAMERAS, MetaWorld, MetaWorldOptions
from astra.environments.metaworld.expert import MetaWorldExpert
from astra.environments.metaworld.tasks import MT10
from astra.evaluation.pictures.style import write_small_figure

MIDDLE = 40
"""Timestep that is drawn, or the last one of a shorter episode."""


def main(folder: Path) -> None:
    """Write tasks.png into a folder."""
    environment = MetaWorld(MetaWorldOptions(known_tasks=("mt10",), observation="images", frame_size=192))
    figure = Figure(figsize=(10, 9.2), layout="constrained")
    axes = figure.subplots(4, 5)
    for number, task in enumerate(MT10):
        observation, _ = environment.reset(seed=number, options={"task": task})
        expert, done, timestep = MetaWorldExpert(), False, 0
        while not done and timestep < MIDDLE:
            observation, _, done, _, _ = environment.step(expert.act(environment))
            timestep += 1
        for row, name in enumerate(CAMERAS):
            place = axes[2 * (number // 5) + row, number % 5]
            place.imshow(observation[name])
            place.set_axis_off()
            if row == 0:
                place.set_title(environment.instruction, fontsize=9, wrap=True)
    environment.close()
    write_small_figure(figure, folder / "tasks.png", width=1000, colors=96)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
