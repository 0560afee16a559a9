"""Convert human demonstrations of Franka Kitchen, D4RL's or Minari's, to the observations of our environment.

The files do not say in words what was demonstrated. An episode's instruction names the tasks that its states show as
done at some timestep, by the environment's own check; an episode in which none was done is left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from astra.datasets import DatasetWriter, Episode
from astra.datasets.importers.d4rl import read_d4rl
from astra.datasets.importers.minari import MinariFolder
from astra.environments.franka_kitchen.environment import ACTIONS, BOUND, FPS, OBJECT_JOINTS, OBJECTS, ROBOT, SIZES
from astra.environments.franka_kitchen.suite import SUITE
from astra.environments.franka_kitchen.tasks import TASKS, KitchenTask, instruction_for

POSITIONS = 30
"""Positions of the kitchen: 9 of the robot, then 21 of the objects."""
D4RL_NUMBERS = 60
"""Numbers of an observation in D4RL: the positions, then those of the goal."""
MINARI_NUMBERS = 59
"""Numbers in Minari: positions and velocities of the robot (9 each), then of the objects (21 and 20)."""

_Recorded = tuple[Float[np.ndarray, "T 30"], Float[np.ndarray, "T 9"]]
"""Positions and actions of one episode."""


@dataclass(kw_only=True)
class Converted:
    """Dataset that a conversion wrote, and what its episodes show."""

    folder: Path
    """Folder of the new dataset."""
    tasks: Counter[int] = field(default_factory=Counter)
    """Number of episodes by the number of tasks done in them; 0: left out."""

    def __str__(self) -> str:
        """Describe the numbers of tasks."""
        kept = ", ".join(f"{number} tasks in {self.tasks[number]}" for number in sorted(self.tasks) if number)
        left = f"; {self.tasks[0]} episodes without any task are left out" if self.tasks[0] else ""
        return f"episodes by tasks done: {kept or 'none'}{left}"


def convert_d4rl_kitchen(source: Path, destination: Path) -> Converted:
    """Convert a file of D4RL's kitchen environments.

    Raises:
        FileExistsError: if the destination exists.
        FileNotFoundError: if there is no such file.
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if the file is damaged, holds no kitchen, or no episode does a task.
    """
    return _write((_d4rl(*each, source) for each in read_d4rl(source)), source, destination)


def convert_minari_kitchen(dataset: MinariFolder, destination: Path) -> Converted:
    """Convert a Minari dataset of Franka Kitchen.

    Raises:
        FileExistsError: if the destination exists.
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if the dataset is damaged, or no episode does a task.
    """
    return _write(_minari(dataset), dataset.folder, destination)


def tasks_done(positions: Float[np.ndarray, "T 30"]) -> tuple[KitchenTask, ...]:
    """Return the tasks that are done at some timestep, in the order of instructions."""
    return tuple(task for task in TASKS.values() if any(task.is_done(each) for each in positions))


def _write(episodes: Iterable[_Recorded], source: Path, destination: Path) -> Converted:
    converted = Converted(folder=destination)
    with DatasetWriter(destination, fps=FPS, actions=ACTIONS, robot_type=SUITE.name, suite=SUITE.name) as writer:
        for positions, actions in episodes:
            done = tasks_done(positions)
            converted.tasks[len(done)] += 1
            if done:
                episode = Episode(instruction=instruction_for(done), columns=_columns(positions, actions), fps=FPS)
                writer.add(episode, source=source)
        if not +converted.tasks or set(converted.tasks) == {0}:
            raise ValueError(f"{source} has no episode in which a task of the kitchen is done, so nothing is converted")
    return converted


def _columns(positions: Float[np.ndarray, "T 30"], actions: Float[np.ndarray, "T 9"]) -> dict[str, np.ndarray]:
    """Return the columns of our environment; actions are clipped as the simulator clips them."""
    vectors = {ROBOT: positions[:, : SIZES[ROBOT]], OBJECTS: positions[:, list(OBJECT_JOINTS.values())]}
    columns = {name: values.clip(-BOUND, BOUND).astype(np.float32) for name, values in vectors.items()}
    return columns | {"action": actions.clip(ACTIONS.low, ACTIONS.high).astype(np.float32)}


def _d4rl(observations: np.ndarray, actions: np.ndarray, source: Path) -> _Recorded:
    _check_widths(observations, D4RL_NUMBERS, actions, f"{source}")
    return observations[:, :POSITIONS], actions


def _minari(dataset: MinariFolder) -> Iterator[_Recorded]:
    for number, episode in enumerate(dataset.read(("observation",))):
        observations = episode.observations["observation"]
        _check_widths(observations, MINARI_NUMBERS, episode.actions, f"{dataset.folder}, episode {number}")
        yield np.concatenate([observations[:, :9], observations[:, 18:39]], axis=1), episode.actions


def _check_widths(observations: np.ndarray, expected: int, actions: np.ndarray, where: str) -> None:
    if observations.shape[1] != expected or actions.shape[1] != len(ACTIONS):
        raise ValueError(
            f"{where}: observations have {observations.shape[1]} numbers and actions {actions.shape[1]}, expected "
            f"{expected} and {len(ACTIONS)} of Franka Kitchen"
        )
