"""Experiment: a dataset, a policy, its training and its rollouts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from astra.datasets import Windows
from astra.datasets.lerobot.streamed import FrameConfig, StreamedColumn
from astra.datasets.mixture import MixedWindows
from astra.datasets.own_statistics import in_common_units, with_units
from astra.datasets.sentences import read_sentences
from astra.datasets.statistics import joint_statistics
from astra.environments.suite import Suite, suite_of
from astra.experiments.frozen_features import frozen_features
from astra.experiments.mixture import Part, balance, check_mixture, in_first_units, open_datasets, own_units
from astra.parallel.processes import is_main_process, main_first
from astra.policies.astra import AstraConfig
from astra.policies.policy import Policy, PolicyConfig
from astra.screen import screen
from astra.storage.config_json import to_json
from astra.storage.hub import pinned
from astra.storage.numbers import Count, Positive, Share, check_numbers
from astra.suites.config import EvaluationConfig
from astra.training.config import TrainingConfig
from astra.training.run_folder import check_run_folder
from astra.training.train import train
from astra.trajectory import TrajectorySpec


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
    """Statistics that normalize states and lay the bins of actions in a mixture: those of all datasets together, or
    those of each dataset for itself, of which `astra evaluate RUN --statistics DATASET` chooses."""
    sentences: bool = True
    """Whether each episode is told one of several sentences in training, chosen anew in every epoch, where a dataset
    has the file sentences.json."""
    observations: tuple[str, ...] = ()
    """Columns that the policy observes. Empty: all that `policy.states.reads` names."""
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
    rollouts: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(episodes=20, seed=200_000, videos=0))
    """Rollouts every `training.evaluate_every` updates, from other starts than those of `astra evaluate`."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


def run_training(
    experiment: Experiment,
    run_folder: Path,
    *,
    resume: bool = False,
    extend: bool = False,
    shard: bool = False,
    description: dict[str, Any] | None = None,
) -> Path:
    """Open the demonstrations, train the policy, and return its folder.

    Args:
        experiment: the experiment.
        run_folder: folder of the run; created if it is missing.
        resume: continue from the newest checkpoint in the run folder, if there is one.
        extend: accept another number of updates or minutes than the run in the folder has, and go on to that length.
        shard: split the run over the processes, instead of a copy in each.
        description: written to the run's config.json too.

    Raises:
        FileNotFoundError: if there are no demonstrations.
        ValueError: if they are damaged, or do not fit the policy or the run folder, or no suite fits the rollouts.
    """
    check_run_folder(run_folder)
    experiment = replace(
        experiment,
        dataset=main_first(lambda: pinned(experiment.dataset)),
        mixture=tuple(main_first(partial(pinned, folder)) for folder in experiment.mixture),
    )
    policy: PolicyConfig = experiment.policy
    folders, mixed = (experiment.dataset, *experiment.mixture), bool(experiment.mixture or experiment.weights)
    datasets = open_datasets(
        folders, experiment.observations, policy.states.reads, policy.frame_size, experiment.frames, mixed=mixed
    )
    if any(isinstance(values, StreamedColumn) for values in datasets[0].columns.values()):  # also when the run goes on
        experiment = replace(experiment, frames=replace(experiment.frames, decode="streamed"))
    suite = suite_of(datasets[0].spec, experiment.suite) if experiment.suite else None
    if suite is not None:
        datasets = [replace(dataset, spec=replace(dataset.spec, suite=suite.name)) for dataset in datasets]
    parts = []
    for dataset in datasets:
        training, held_out = dataset.split_episodes(experiment.validation, experiment.training.seed)
        parts.append(Part(dataset=dataset, training=training, held_out=held_out))
    names = list(map(str, folders))
    units = own_units(names, parts, policy) if experiment.statistics == "own" else {}
    if units:
        parts = [
            replace(part, dataset=in_common_units(part.dataset, own))
            for part, (_, own) in zip(parts, units.values(), strict=True)
        ]
    features = [main_first(partial(frozen_features, dataset, policy.states.images)) for dataset in datasets]

    def windows_of(part: Part, episodes: Sequence[int], known: Mapping[str, np.ndarray]) -> Windows:
        return Windows(
            part.dataset,
            episodes,
            timesteps=experiment.training.timesteps,
            chunk_size=policy.chunk_size,
            stride=experiment.stride,
            ending=experiment.training.last_timestep_only,
            features=known,
            sentences=read_sentences(part.dataset.folder, part.dataset.spec.instructions)
            if experiment.sentences
            else None,
            seed=experiment.training.seed,
        )

    training_windows = [windows_of(part, part.training, own) for part, own in zip(parts, features, strict=True)]
    held_out_windows = [
        windows_of(part, part.held_out or part.training, own) for part, own in zip(parts, features, strict=True)
    ]
    train_windows, validation_windows = training_windows[0], held_out_windows[0]
    if mixed:
        train_windows = MixedWindows(dict(zip(names, training_windows, strict=True)), experiment.weights)
        validation_windows = MixedWindows(dict(zip(names, held_out_windows, strict=True)), experiment.weights)
        check_mixture(train_windows, policy, experiment.training.contrastive is not None)
        if is_main_process():
            screen().print(balance(names, train_windows.weights, parts, training_windows))
    evaluate = None
    if experiment.training.evaluate_every is not None:
        try:
            suite = suite or suite_of(train_windows.spec)
        except ValueError as error:
            raise ValueError(f"--training.evaluate-every needs a suite, but {error}") from error
        evaluate = _rollouts(suite, experiment.rollouts, train_windows.spec, run_folder / "rollouts")
    statistics = joint_statistics(
        [(part.dataset, part.training) for part in parts],
        train_windows.spec,
        reference_state=policy.reference_state,
        chunk_size=policy.chunk_size,
    )
    return train(
        policy,
        experiment.training,
        train_windows,
        validation_windows,
        run_folder,
        statistics=with_units(statistics, train_windows.spec.actions, units) if units else statistics,
        resume=resume,
        extend=extend,
        shard=shard,
        evaluate=evaluate,
        description={
            "episodes": sum(len(part.training) for part in parts),
            **describe(experiment),
            **(description or {}),
        },
    )


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


def _rollouts(
    suite: Suite, config: EvaluationConfig, spec: TrajectorySpec, folder: Path
) -> Callable[[Policy[Any]], dict[str, float]]:
    """Return a function that measures a policy during training; the newest results stay in the folder."""
    from astra.suites.evaluate_suite import evaluate_suite

    suite.spec(suite.options_for(spec))  # so that errors come before the training

    def evaluate(policy: Policy[Any]) -> dict[str, float]:
        evaluations = evaluate_suite(in_first_units(policy), suite, folder, replace(config, agents=("policy",)))
        summary = evaluations["policy"].summary
        return {"success": summary.success.value, **{name: score.value for name, score in summary.scores.items()}}

    return evaluate
