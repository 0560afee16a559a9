"""A run that was started before: its experiment, read from config.json, and whether its data are the same now."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from astra.datasets.lerobot.streamed import FrameConfig
from astra.experiments import EXPERIMENTS
from astra.experiments.experiment import MOVABLE, Experiment, describe
from astra.policies import find_config
from astra.policies.checkpoint import STATISTICS, flat_statistics
from astra.storage.config_json import from_json
from astra.storage.tensor_files import load_tensors
from astra.suites.config import EvaluationConfig
from astra.training.config import TrainingConfig
from astra.training.run_folder import CONFIG, RunFolder, read_config
from astra.trajectory import Statistics

OF_THE_MACHINE = {"num_envs", "workers", "cluster", "videos"}
"""Fields of `EvaluationConfig` that do not say what is measured."""


def read_experiment(folder: Path) -> tuple[str, Experiment]:
    """Read the name and the settings of the experiment in a run folder.

    Returns:
        The name, empty if the run did not come from a named experiment, and the experiment.

    Raises:
        FileNotFoundError: if there is no run in the folder.
        ValueError: if its config.json is damaged, or of another version of Astra.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no run to resume: name the folder of a run by --output")
    config = read_config(folder)
    try:
        described = config["description"]
        name = described.get("experiment", "")
        start = EXPERIMENTS[name].make() if name in EXPERIMENTS else Experiment(dataset=Path(described["dataset"]))
        known = describe(start) | {key: described[key] for key in describe(start) if key in described}
        policy = from_json(find_config(config["policy"]["kind"]), config["policy"], f"{path}: policy")
        return name, replace(
            start,
            dataset=Path(known["dataset"]),
            mixture=tuple(map(Path, known["mixture"])),
            weights=tuple(known["weights"]),
            statistics=known["statistics"],
            sentences=known["sentences"],
            observations=tuple(known["observations"]),
            validation=known["validation"],
            stride=known["stride"],
            frames=from_json(FrameConfig, known["frames"], f"{path}: frames"),
            suite=known["suite"],
            rollouts=from_json(EvaluationConfig, known["rollouts"], f"{path}: rollouts"),
            policy=policy,
            training=from_json(TrainingConfig, config["training"], f"{path}: training"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not the configuration of a run that `astra train` wrote ({error!r}): choose another folder"
        ) from error


def check_same_data(folder: Path, description: Mapping[str, Any], statistics: Statistics, seed: int) -> None:
    """Check that a run in a folder goes on with the episodes, windows and rollouts with which it began.

    Args:
        folder: Folder of the run; nothing is checked where no run has begun.
        description: Fields of the experiment from `describe`, and the number of training episodes.
        statistics: Statistics of the training episodes.
        seed: Training seed, which decides what is held out.

    Raises:
        ValueError: if a field differs that must not, or the statistics do.
    """
    if not (folder / CONFIG).is_file():
        return
    advice = "go on with the data and settings of that run, or choose another folder with --output"
    config = read_config(folder)
    begun, now = _settings(config.get("description", {})), _settings(description)
    if different := [name for name in now if name not in MOVABLE and begun.get(name, now[name]) != now[name]]:
        name = different[0]
        told = {"episodes": "number of training episodes"}.get(name, name)
        raise ValueError(f"{folder} holds another run: its {told} is {begun[name]!r}, not {now[name]!r}: {advice}")
    same_split = config["training"]["seed"] == seed  # another seed is refused later, with the rest of the training
    if same_split and (newest := RunFolder(folder, keep=1).newest_checkpoint()) is not None:
        kept, present = load_tensors(newest / "policy" / STATISTICS), flat_statistics(statistics)
        if kept.keys() != present.keys() or not all(map(_near, kept.values(), (present[name] for name in kept))):
            raise ValueError(
                f"{folder} holds a run on other demonstrations than those of {now['dataset']}: means or deviations of "
                f"their columns differ; {advice}"
            )


def _settings(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a description as JSON, those of the rollouts one by one without those of the machine."""
    settings = json.loads(json.dumps(description))
    rollouts = settings.pop("rollouts", {})
    return settings | {f"rollouts.{name}": value for name, value in rollouts.items() if name not in OF_THE_MACHINE}


def _near(one: Tensor, other: Tensor) -> bool:
    """Whether two statistics are equal up to rounding, which differs between machines."""
    return one.shape == other.shape and torch.allclose(one, other.to(one), rtol=1e-4, atol=1e-6)
