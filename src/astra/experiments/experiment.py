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
from astra.policies.policy import Policy, PolicyConfig
from astra.suites.config import EvaluationConfig
from astra.training.config import TrainingConfig
from astra.training.train import train
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
    """Configuration of the policy."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is trained."""
    suite: str = ""
    """Suite in which the policy is measured, a name or MODULE:FUNCTION; empty: the one that the dataset names."""
    rollouts: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(episodes=20, seed=200_000, videos=0))
    """Episodes that are played every `training.evaluate_every` updates; their seeds differ from those of `astra
    evaluate`."""


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
    policy: PolicyConfig = experiment.policy
    columns, reads = experiment.observations or None, policy.states.reads
    dataset = main_first(lambda: LeRobotDataset.open(experiment.dataset, columns, reads))
    suite = suite_of(dataset.spec, experiment.suite) if experiment.suite else None
    if suite is not None:
        dataset = replace(dataset, spec=replace(dataset.spec, suite=suite.name))
    training, held_out = dataset.split_episodes(experiment.validation, experiment.training.seed)
    evaluate = None
    if experiment.training.evaluate_every is not None:
        suite = suite or suite_of(dataset.spec)
        evaluate = _rollouts(suite, experiment.rollouts, dataset.spec, run_folder / "rollouts")
    features = main_first(lambda: frozen_features(dataset, policy.states.images))
    windows = partial(
        Windows,
        dataset,
        timesteps=experiment.training.timesteps,
        chunk_size=policy.chunk_size,
        stride=experiment.stride,
        features=features,
    )
    return train(
        policy,
        experiment.training,
        windows(training),
        windows(held_out or training),
        run_folder,
        statistics=compute_statistics(
            dataset,
            training,
            reference_state=policy.reference_state,
            chunk_size=policy.chunk_size,
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
