"""Experiment: a dataset, a policy, its training and its rollouts, as a configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from astra.datasets.lerobot.streamed import FrameConfig
from astra.environments.seeds import ROLLOUTS
from astra.policies.astra import AstraConfig
from astra.storage.config_json import to_json
from astra.storage.numbers import Count, Positive, Share, check_numbers
from astra.suites.config import EvaluationConfig
from astra.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Configuration of a run; every field is an option of `astra train`."""

    dataset: Path
    """Demonstrations: the folder of a LeRobotDataset, or the id of one on the Hugging Face Hub, OWNER/NAME or
    OWNER/NAME@REVISION. The run records the commit."""
    mixture: tuple[Path, ...] = ()
    """More datasets to train on together with the first: state vectors, cameras and action dimensions are matched by
    name, and what one lacks is an invalid token there."""
    weights: tuple[Positive, ...] = ()
    """Share of each dataset in every batch, that of --dataset first, such as 3 1. Empty: by their numbers of
    windows."""
    statistics: Literal["joint", "own"] = "joint"
    """Statistics that normalize states and place the bins of actions in a mixture: `joint`, those of all datasets
    together; or `own`, those of each dataset, of which `astra evaluate RUN --statistics DATASET` then chooses one."""
    sentences: bool = True
    """Whether each episode is told one of several sentences in training, chosen anew in every epoch, where a dataset
    has the file sentences.json."""
    observations: tuple[str, ...] = ()
    """Columns that the policy observes. Empty: all columns of the kinds that `policy.states.reads` names."""
    validation: Share = 0.05
    """Fraction of the episodes that is held out for validation."""
    stride: Count = 1
    """Timesteps between the starts of successive windows of an episode. Use the length of a window if a window holds a
    whole episode and must start at its first timestep."""
    frames: FrameConfig = field(default_factory=FrameConfig)
    """When the frames of cameras are decoded."""
    policy: Any = field(default_factory=AstraConfig)
    """Configuration of the policy, an `astra.policies.policy.PolicyConfig`."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Configuration of training."""
    suite: str = ""
    """Suite in which the policy is measured: a name or MODULE:FUNCTION. Empty: the one that the dataset names."""
    rollouts: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(episodes=20, seed=ROLLOUTS, videos=0))
    """Rollouts every `training.evaluate_every` updates, from other starts than those of `astra evaluate`."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


MOVABLE = ("dataset", "mixture", "frames")
"""Fields of `describe` that may change when a run goes on: where the data lie, and how frames are decoded."""


def describe(experiment: Experiment) -> dict[str, Any]:
    """Return the fields of an experiment that neither its policy nor its training holds, as JSON."""
    return {
        "dataset": str(experiment.dataset),
        "mixture": list(map(str, experiment.mixture)),
        "weights": list(experiment.weights),
        "statistics": experiment.statistics,
        "sentences": experiment.sentences,
        "observations": list(experiment.observations),
        "validation": experiment.validation,
        "stride": experiment.stride,
        "frames": to_json(experiment.frames),
        "suite": experiment.suite,
        "rollouts": to_json(experiment.rollouts),
    }
