"""Experiment of a run that was started before, from the run's own config.json."""

from dataclasses import replace
from pathlib import Path

from astra.datasets.lerobot.streamed import FrameConfig
from astra.experiments import EXPERIMENTS
from astra.experiments.experiment import Experiment, describe
from astra.policies import POLICIES
from astra.storage.config_json import from_json
from astra.suites.config import EvaluationConfig
from astra.training.config import TrainingConfig
from astra.training.run_folder import CONFIG, read_config


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
        kinds = {kind.__name__: kind for kind in POLICIES.values()}
        policy = from_json(kinds[config["policy"]["kind"]], config["policy"], f"{path}: policy")
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
