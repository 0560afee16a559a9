"""TrainingData: the demonstrations of an experiment as windows, for training and held out, and their statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from astra.datasets import Windows
from astra.datasets.lerobot.streamed import StreamedColumn
from astra.datasets.mixture import MixedWindows
from astra.datasets.own_statistics import in_common_units, with_units
from astra.datasets.sentences import read_sentences
from astra.datasets.statistics import joint_statistics
from astra.environments.suite import suite_of
from astra.evaluation.verdict import FEWEST_HELD_OUT
from astra.experiments.experiment import Experiment
from astra.experiments.frozen_features import frozen_features
from astra.experiments.mixture import Part, balance, open_datasets, own_units
from astra.parallel.processes import is_main_process, main_first
from astra.policies.policy import PolicyConfig
from astra.screen import screen
from astra.trajectory import Statistics


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Windows and statistics from which the policy of an experiment learns."""

    training: Windows
    """Windows of the training episodes."""
    held_out: Windows
    """Windows of the held-out episodes; those of the training episodes if none is held out."""
    statistics: Statistics
    """Statistics of the training episodes."""
    episodes: int
    """Number of training episodes."""
    streamed: bool
    """Whether frames are decoded while training."""


def open_training_data(experiment: Experiment) -> TrainingData:
    """Open the datasets of an experiment, split their episodes, and print the balance of a mixture.

    Raises:
        FileNotFoundError: if there are no demonstrations.
        ValueError: if they are damaged, or do not fit the policy, each other or the suite that the experiment names.
    """
    policy: PolicyConfig = experiment.policy
    folders, mixed = (experiment.dataset, *experiment.mixture), bool(experiment.mixture or experiment.weights)
    names = list(map(str, folders))
    datasets = open_datasets(
        folders, experiment.observations, policy.states.reads, policy.frame_size, experiment.frames, mixed=mixed
    )
    if experiment.suite:
        suite = suite_of(datasets[0].spec, experiment.suite).name
        datasets = [replace(dataset, spec=replace(dataset.spec, suite=suite)) for dataset in datasets]
    features = [main_first(partial(frozen_features, dataset, policy.states.images)) for dataset in datasets]
    parts = []
    for dataset in datasets:
        training, held_out = dataset.split_episodes(experiment.validation, experiment.training.seed)
        parts.append(Part(dataset=dataset, training=training, held_out=held_out))
    if is_main_process() and not mixed:
        screen().print(held_out_note(parts[0]), soft_wrap=True)
    units = own_units(names, parts, policy) if experiment.statistics == "own" else {}
    if units:
        parts = [
            replace(part, dataset=in_common_units(part.dataset, own))
            for part, (_, own) in zip(parts, units.values(), strict=True)
        ]
    known = list(zip(parts, features, strict=True))
    training = [_windows(experiment, part, part.training, own) for part, own in known]
    held_out = [_windows(experiment, part, part.held_out or part.training, own) for part, own in known]
    windows, held_out_windows = training[0], held_out[0]
    if mixed:
        windows = MixedWindows(dict(zip(names, training, strict=True)), experiment.weights)
        held_out_windows = MixedWindows(dict(zip(names, held_out, strict=True)), experiment.weights)
        if is_main_process():
            screen().print(balance(names, windows.weights, parts, training))
    statistics = joint_statistics(
        [(part.dataset, part.training) for part in parts],
        windows.spec,
        reference_state=policy.reference_state,
        chunk_size=policy.chunk_size,
    )
    return TrainingData(
        training=windows,
        held_out=held_out_windows,
        statistics=with_units(statistics, windows.spec.actions, units) if units else statistics,
        episodes=sum(len(part.training) for part in parts),
        streamed=any(isinstance(values, StreamedColumn) for values in datasets[0].columns.values()),
    )


def _windows(
    experiment: Experiment, part: Part, episodes: Sequence[int], features: Mapping[str, np.ndarray]
) -> Windows:
    """Return windows of some episodes of a dataset."""
    spec = part.dataset.spec
    return Windows(
        part.dataset,
        episodes,
        timesteps=experiment.training.timesteps,
        chunk_size=experiment.policy.chunk_size,
        stride=experiment.stride,
        ending=experiment.training.last_timestep_only,
        features=features,
        sentences=read_sentences(part.dataset.folder, spec.instructions) if experiment.sentences else None,
        seed=experiment.training.seed,
    )


def held_out_note(part: Part) -> str:
    """Return how many episodes are held out, and what to do where they are too few for a report."""
    episodes = len(part.training) + len(part.held_out)
    remedy = f"hold out {FEWEST_HELD_OUT} with --validation {math.ceil(100 * FEWEST_HELD_OUT / episodes) / 100:g}"
    if episodes <= FEWEST_HELD_OUT:
        remedy = "collect more episodes"
    if not part.held_out:
        return "no episode is held out: the validation loss is that of training episodes"
    if len(part.held_out) < FEWEST_HELD_OUT:
        return f"{len(part.held_out)} of {episodes} episodes is held out, too few to compare in a report: {remedy}"
    return f"{len(part.held_out):,} of {episodes:,} episodes are held out"
