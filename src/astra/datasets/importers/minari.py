"""Importer of Minari's datasets: a folder with `metadata.json` and `main_data.hdf5`, one group per episode.

    DATASET/data/metadata.json      number of episodes, environment, format of the data
    DATASET/data/main_data.hdf5     episode_0/observations, episode_0/actions, ...

Observations are an array, or a group of arrays, and have one row more than there are actions: what was seen at the end.
Source: https://minari.farama.org/content/dataset_standards, Minari 0.5.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.datasets.episode import Episode
from astra.datasets.importers.hdf5.files import child, opened, read_vectors
from astra.storage.json_file import read_json_object

METADATA, DATA = "metadata.json", "main_data.hdf5"
KITCHEN = "FrankaKitchen"
"""Start of the name of the environment of Franka Kitchen."""


@dataclass(frozen=True, kw_only=True)
class MinariEpisode:
    """One episode of T timesteps."""

    observations: dict[str, Float[np.ndarray, "T n"]]
    """Vectors by name; an array that stands alone is called `observation`."""
    actions: Float[np.ndarray, "T N"]


@dataclass(frozen=True, kw_only=True)
class MinariFolder:
    """A dataset on disk."""

    folder: Path
    """Folder of `metadata.json` and `main_data.hdf5`."""
    environment: str
    """Name of the environment in gymnasium, such as FrankaKitchen-v1; empty: not stored."""
    episodes: int
    """Number of episodes."""

    @property
    def is_kitchen(self) -> bool:
        """Whether it was recorded in Franka Kitchen, whose states tell instructions and rate."""
        return self.environment.startswith(KITCHEN)

    def read(self, names: tuple[str, ...] = ()) -> Iterator[MinariEpisode]:
        """Read one episode after the other.

        Args:
            names: Observations to read; empty: all.

        Raises:
            ModuleNotFoundError: if h5py is not installed.
            ValueError: if the file is truncated, lacks an array, has another type or arrays of different lengths.
        """
        path = self.folder / DATA
        with opened(path) as file:
            for number in range(self.episodes):
                name = f"episode_{number}"
                where = f"{path}, {name}"
                group = child(file, name, str(path))
                actions = read_vectors(group, "actions", where)
                observations = {key: values[:-1] for key, values in _observations(group, where, names).items()}
                for key, values in observations.items():
                    if len(values) != len(actions):
                        raise ValueError(
                            f"{where}: {key!r} has {len(values) + 1} rows, expected {len(actions) + 1}: one more than "
                            "actions"
                        )
                yield MinariEpisode(observations=observations, actions=actions)


def open_minari(folder: str | Path) -> MinariFolder:
    """Read the description of a dataset.

    Raises:
        FileNotFoundError: if there is no dataset in the folder.
        ValueError: if the description is damaged, or the data are in another format than HDF5.
    """
    folder = Path(folder)
    found = next((each for each in (folder, folder / "data") if (each / METADATA).is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"{folder} has no {METADATA}; expected the folder of a Minari dataset, which holds data/{METADATA}"
        )
    path = found / METADATA
    metadata = read_json_object(path, "JSON", "copy the dataset again")
    stored = metadata.get("data_format", "hdf5")
    if stored != "hdf5":
        raise ValueError(f"{path}: the data are stored as {stored!r}, expected 'hdf5': write them with Minari as HDF5")
    episodes: Any = metadata.get("total_episodes")
    if type(episodes) is not int or episodes < 1:
        raise ValueError(f"{path}: total_episodes is {episodes!r}, expected a number of at least 1")
    return MinariFolder(folder=found, environment=_environment(metadata.get("env_spec"), path), episodes=episodes)


def read_minari(folder: str | Path, *, instruction: str, fps: float) -> Iterator[Episode]:
    """Read a dataset of any environment whose observations are vectors, one episode at a time.

    Args:
        folder: Folder of the dataset.
        instruction: Instruction of all episodes; the dataset has none.
        fps: Timesteps per second; the dataset does not record them.

    Raises:
        FileNotFoundError: if there is no dataset in the folder.
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if the dataset is damaged, or its observations or actions are no vectors.
    """
    for episode in open_minari(folder).read():
        named = {_column(name): values for name, values in episode.observations.items()}
        columns = {name: values.astype(np.float32) for name, values in (named | {"action": episode.actions}).items()}
        yield Episode(instruction=instruction, columns=columns, fps=fps)


def _observations(group: Any, where: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    found = child(group, "observations", where)
    if not hasattr(found, "keys"):
        return {"observation": read_vectors(group, "observations", where)}
    return {name: read_vectors(found, name, f"{where}, 'observations'") for name in names or sorted(found)}


def _column(name: str) -> str:
    return "observation.state" if name == "observation" else f"observation.{name}"


def _environment(spec: Any, path: Path) -> str:
    """Return the name of the environment from its spec, which is JSON inside JSON."""
    if spec is None:
        return ""
    try:
        name = json.loads(spec)["id"] if isinstance(spec, str) else spec["id"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: env_spec cannot be read ({error!r}); copy the dataset again") from error
    return name if isinstance(name, str) else ""
