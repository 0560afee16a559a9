"""A named run: what is learned from, by which policy, how it is trained and where it is measured."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from astra.datasets import LeRobotDataset, Windows, compute_statistics
from astra.environments.suite import Suite, suite_of
from astra.experiments.frozen_features import frozen_features
from astra.parallel.processes import main_first
from astra.policies.astra import AstraConfig
from astra.policies.policy import Policy
from astra.suites.config import EvaluationConfig
from astra.training.train import TrainingConfig, train
from astra.trajectory import TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run is made from; each field can be changed on the command line."""

    dataset: Path
    """Folder of the demonstrations, a LeRobotDataset v3.0."""
    observations: tuple[str, ...] = ()
    """Columns that the policy sees; empty: all that `policy.states.reads` names."""
    validation: float = 0.05
    """Share of the episodes that is held out."""
    stride: int = 1
    """Timesteps between the starts of neighboring windows of an episode; the window's own length, where a window holds
    a whole episode and nothing is to be learned from one that lacks its beginning."""
    policy: Any = field(default_factory=AstraConfig)
    """The policy: an `astra.policies.policy.PolicyConfig` that says in `states` how states are read."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is trained."""
    suite: str = ""
    """Suite in which the policy is measured, a name or MODULE:FUNCTION; empty: the one that the dataset names."""
    rollouts: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(episodes=20, seed=200_000, videos=0))
    """Episodes that are played every `training.evaluate_every` updates; their seeds differ from those of `astra
    evaluate`."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """An experiment's entry in the list that `astra experiments` shows."""

    make: Callable[[], Experiment]
    row: str
    """The paper's row that it stands for, or what it is for."""
    scale: str
    """cpu, or paper for the settings that the paper prints."""
    hours: str
    """Hours of training to expect, and on what."""

    @property
    def note(self) -> str:
        """The first line of its lab note."""
        return (self.make.__doc__ or "").strip().splitlines()[0]


def run_training(
    experiment: Experiment,
    run_folder: Path,
    *,
    resume: bool = False,
    shard: bool = False,
    description: dict[str, Any] | None = None,
) -> Path:
    """Open the demonstrations, train, and give the folder of the policy.

    Raises:
        FileNotFoundError: if there are no demonstrations.
        ValueError: if they are damaged, or do not fit the policy or the run folder, or rollouts are asked for and no
            suite is named or fits.
    """
    columns, reads = experiment.observations or None, experiment.policy.states.reads
    dataset = main_first(lambda: LeRobotDataset.open(experiment.dataset, columns, reads))
    suite = suite_of(dataset.spec, experiment.suite) if experiment.suite else None
    if suite is not None:
        dataset = replace(dataset, spec=replace(dataset.spec, suite=suite.name))
    training, held_out = dataset.split_episodes(experiment.validation, experiment.training.seed)
    evaluate = None
    if experiment.training.evaluate_every is not None:
        suite = suite or suite_of(dataset.spec)
        evaluate = _rollouts(suite, experiment.rollouts, dataset.spec, run_folder / "rollouts")
    features = main_first(lambda: frozen_features(dataset, experiment.policy.states.images))
    chunk_size = getattr(experiment.policy, "chunk_size", 1)  # baselines predict one action and measure it from nothing
    windows = partial(
        Windows,
        dataset,
        timesteps=experiment.training.timesteps,
        chunk_size=chunk_size,
        stride=experiment.stride,
        features=features,
    )
    return train(
        experiment.policy,
        experiment.training,
        windows(training),
        windows(held_out or training),
        run_folder,
        statistics=compute_statistics(
            dataset,
            training,
            reference_state=getattr(experiment.policy, "reference_state", None),
            chunk_size=chunk_size,
        ),
        resume=resume,
        shard=shard,
        evaluate=evaluate,
        description={
            "dataset": str(experiment.dataset),
            "episodes": len(training),
            "validation": experiment.validation,
            **(description or {}),
        },
    )


def _rollouts(
    suite: Suite, config: EvaluationConfig, spec: TrajectorySpec, folder: Path
) -> Callable[[Policy[Any]], dict[str, float]]:
    """Return a function that measures a policy during training; the newest results stay in the folder."""
    from astra.suites.evaluate_suite import evaluate_suite

    suite.spec(suite.options_for(spec))  # so that errors come before the training

    def evaluate(policy: Policy[Any]) -> dict[str, float]:
        summary = evaluate_suite(policy, suite, folder, replace(config, agents=("policy",)))["policy"].summary
        return {"success": summary.success.value, **{name: score.value for name, score in summary.scores.items()}}

    return evaluate
