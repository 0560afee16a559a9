"""Configuration and data split of a run: which demonstrations it was trained on, and which it held out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astra.datasets import LeRobotDataset
from astra.datasets.episode import OBJECTS
from astra.datasets.spec_differences import spec_differences
from astra.evaluation.json_shape import read_json
from astra.policies.policy import Policy
from astra.storage.hub import folder_here

SPLIT = {"training": {"seed": int}, "description": {"dataset": str, "episodes": int}}
"""Fields of a run's config.json that describe its split."""
COPY = "copy the run's own config.json"
"""Remedy for a damaged one."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Split of a dataset into training episodes and held-out episodes."""

    dataset: Path
    """Folder of the dataset, or its id on the Hugging Face Hub."""
    validation: float
    """Share of the episodes held out."""
    seed: int
    """Seed of the split."""
    training_episodes: int
    """Number of episodes that the run was trained on."""

    @property
    def folder(self) -> Path:
        """Folder of the dataset, which must be on this machine.

        Raises:
            FileNotFoundError: if it is a dataset of the Hub that is not here.
        """
        return folder_here(self.dataset)

    def held_out(self, opened: LeRobotDataset) -> tuple[int, ...]:
        """Return the held-out episodes.

        Raises:
            ValueError: if there are none, or the dataset is not the run's.
        """
        _, held_out = self._parts(opened)
        if not held_out:
            raise ValueError("the run held out no episodes, so the policy has seen all of them")
        return held_out

    def training(self, opened: LeRobotDataset) -> tuple[int, ...]:
        """Return the training episodes.

        Raises:
            ValueError: if the dataset is not the run's.
        """
        return self._parts(opened)[0]

    def _parts(self, opened: LeRobotDataset) -> tuple[tuple[int, ...], tuple[int, ...]]:
        training, held_out = opened.split_episodes(self.validation, self.seed)
        if len(training) != self.training_episodes:
            raise ValueError(
                f"the run was trained on {self.training_episodes} episodes, but of the {len(opened)} in "
                f"{opened.folder} it would have used {len(training)}: give the dataset of the training"
            )
        return training, held_out


def read_split(checkpoint: Path) -> Split:
    """Read the split of the run to which a checkpoint belongs.

    Raises:
        FileNotFoundError: if there is no run around the checkpoint.
        ValueError: if its config.json is damaged or lacks a field.
    """
    path, _ = read_run_config(checkpoint)
    config = read_json(path, SPLIT, COPY)
    if mixture := config["description"].get("mixture"):
        raise ValueError(
            f"the run was trained on {config['description']['dataset']} and {', '.join(map(str, mixture))} together, "
            "and episodes of a mixture are not measured one by one: the report has the loss on held-out episodes"
        )
    description = {"validation": 0.05, **config["description"]}  # the share of runs that did not record it
    if not isinstance(description["validation"], int | float):
        raise ValueError(f"{path} has the validation share {description['validation']!r}, expected a number: {COPY}")
    return Split(
        dataset=Path(description["dataset"]),
        validation=description["validation"],
        seed=config["training"]["seed"],
        training_episodes=description["episodes"],
    )


def read_run_config(checkpoint: Path) -> tuple[Path, dict[str, Any]]:
    """Read the config.json of a run, given the run, one of its checkpoints or the policy in one.

    Raises:
        FileNotFoundError: if there is no run around the checkpoint.
        ValueError: if its config.json is damaged.
    """
    folder = checkpoint.resolve()
    if folder.name == "policy":
        folder = folder.parent
    if folder.parent.name == "checkpoints":
        folder = folder.parents[1]
    path = folder / "config.json"
    config = read_json(path, {}, COPY) if path.is_file() else {}
    if "training" not in config:
        raise FileNotFoundError(f"{checkpoint} is a policy without its run: give a run, or one of its checkpoints")
    return path, config


def open_dataset(policy: Policy[Any], folder: Path) -> LeRobotDataset:
    """Open a dataset with the columns that a policy uses.

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if it is damaged, or lacks a column that the policy uses.
    """
    views = policy.spec.objects.views if policy.spec.objects else ()
    columns = (*policy.spec.states, *policy.spec.images, *(f"{OBJECTS}.{view}" for view in views))
    return LeRobotDataset.open(folder, columns, policy.config.states.reads, frame_size=policy.config.frame_size)


def check_same_spec(policy: Policy[Any], dataset: LeRobotDataset) -> None:
    """Check that a dataset has the states, images, objects, actions and frame rate of a policy.

    Raises:
        ValueError: if they differ; the message says in what.
    """
    if differing := spec_differences(dataset.spec, policy.spec):
        raise ValueError(
            f"{dataset.folder} has other data than the policy was trained on: it has {'; '.join(differing)}. Give the "
            "dataset of the training"
        )
