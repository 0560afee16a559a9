"""The demonstrations of a run, opened again: which of them it learned from, and which it held out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astra.datasets import LeRobotDataset
from astra.datasets.episode import OBJECTS
from astra.policies.policy import Policy


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which demonstrations a run held out."""

    dataset: Path
    validation: float
    """Share of the episodes."""
    seed: int
    training_episodes: int
    """How many it trained on."""

    def held_out(self, opened: LeRobotDataset) -> tuple[int, ...]:
        """Give the episodes that the run has not seen.

        Raises:
            ValueError: if there is none, or the dataset is not the run's.
        """
        _, held_out = self._parts(opened)
        if not held_out:
            raise ValueError("the run held out no episode, so there is none that the policy has not seen")
        return held_out

    def training(self, opened: LeRobotDataset) -> tuple[int, ...]:
        """Give the episodes that the run learned from.

        Raises:
            ValueError: if the dataset is not the run's.
        """
        return self._parts(opened)[0]

    def _parts(self, opened: LeRobotDataset) -> tuple[tuple[int, ...], tuple[int, ...]]:
        training, held_out = opened.split_episodes(self.validation, self.seed)
        if len(training) != self.training_episodes:
            raise ValueError(
                f"the run trained on {self.training_episodes} episodes, and of the {len(opened)} in {opened.folder} "
                f"it would have trained on {len(training)}: give the dataset of the training"
            )
        return training, held_out


def split_of(checkpoint: Path) -> Split:
    """Read the split of the run that a checkpoint belongs to.

    Raises:
        ValueError: if it is a policy without its run.
    """
    for folder in (checkpoint, *checkpoint.resolve().parents[:3]):
        config = folder / "config.json"
        run = json.loads(config.read_text()) if config.is_file() else {}
        if "training" in run:
            described = run["description"]
            return Split(
                dataset=Path(described["dataset"]),
                validation=described.get("validation", 0.05),  # what runs held out before it was written down
                seed=run["training"]["seed"],
                training_episodes=described["episodes"],
            )
    raise ValueError(f"{checkpoint} lies in no run, and only a run tells which episodes it held out: give the run")


def open_for(policy: Policy[Any], folder: Path) -> LeRobotDataset:
    """Open of a dataset what a policy reads.

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if it is damaged, or lacks what the policy reads.
    """
    views = policy.spec.objects.views if policy.spec.objects else ()
    columns = (*policy.spec.states, *policy.spec.images, *(f"{OBJECTS}.{view}" for view in views))
    return LeRobotDataset.open(folder, columns, policy.config.states.reads)


def check_fits(policy: Policy[Any], dataset: LeRobotDataset) -> None:
    """Check that a policy can read these demonstrations.

    Raises:
        ValueError: naming what differs.
    """
    for part in ("states", "images", "objects", "actions"):
        data, own = getattr(dataset.spec, part), getattr(policy.spec, part)
        if data != own:
            raise ValueError(f"{dataset.folder} has other {part} than the policy learned from: {data}, not {own}")
