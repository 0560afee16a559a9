"""Statistics of states and actions over chosen episodes, by which policies normalize."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32

from astra.datasets.episode import ACTION
from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.trajectory import TAIL, ActionSpec, Statistics, TrajectorySpec, VectorStatistics

CONSTANT = 1e-6
"""Threshold of constant dimensions: standard deviation as a share of the largest magnitude."""

FEW = 10
"""Number of values from which on quantiles are computed."""


def compute_statistics(
    dataset: LeRobotDataset,
    episodes: Sequence[int] | None = None,
    *,
    reference_state: str | None = None,
    chunk_size: int = 1,
) -> Statistics:
    """Compute mean, standard deviation, minimum and maximum per dimension, and two quantiles of actions.

    A constant dimension gets the standard deviation 1, so that normalizing it gives 0 instead of noise.

    Args:
        dataset: The opened dataset.
        episodes: Episodes to use, usually those for training; None: all.
        reference_state: State vector to which actions are relative; None: actions are absolute. A vector whose length
            is not that of an action is left to the policy to refuse.
        chunk_size: C, the number of actions predicted at each timestep.
    """
    chosen = range(len(dataset)) if episodes is None else episodes
    rows = np.concatenate([np.arange(dataset.starts[episode], dataset.ends[episode]) for episode in chosen])
    columns = {column: _vector_statistics(dataset.columns[column][rows]) for column in dataset.spec.states}
    actions = _action_statistics(dataset.columns[ACTION][rows])
    relative = {}
    if reference_state is not None and dataset.spec.states.get(reference_state) == len(dataset.spec.actions):
        spans = [(int(dataset.starts[episode]), int(dataset.ends[episode])) for episode in chosen]
        states, actions_of = dataset.columns[reference_state], dataset.columns[ACTION]
        differences = relative_actions(actions_of, states, spans, chunk_size, dataset.spec.actions)
        relative[reference_state] = _action_statistics(differences)
    return Statistics(states=columns, actions=actions, relative_actions=relative)


def joint_statistics(
    parts: Sequence[tuple[LeRobotDataset, Sequence[int]]],
    spec: TrajectorySpec,
    *,
    reference_state: str | None = None,
    chunk_size: int = 1,
) -> Statistics:
    """Compute statistics of several datasets together; those of one are those of `compute_statistics`.

    A dimension that a dataset lacks does not count there.

    Args:
        parts: Each dataset with the episodes to use.
        spec: Contents of all trajectories together.
        reference_state: State vector to which actions are relative; None: actions are absolute.
        chunk_size: C, the number of actions predicted at each timestep.

    Raises:
        ValueError: if actions are relative, and a dataset lacks the state vector or an action dimension.
    """
    if len(parts) == 1:
        ((dataset, episodes),) = parts
        return compute_statistics(dataset, episodes, reference_state=reference_state, chunk_size=chunk_size)

    def rows_of(dataset: LeRobotDataset, episodes: Sequence[int], column: str) -> np.ndarray:
        return dataset.columns[column][
            np.concatenate([np.arange(dataset.starts[episode], dataset.ends[episode]) for episode in episodes])
        ]

    states = {
        name: _vector_statistics(
            np.concatenate([rows_of(*part, name) for part in parts if name in part[0].spec.states])
        )
        for name in spec.states
    }
    by_dimension = []
    for name in spec.actions.names:
        known = [
            rows_of(*part, ACTION)[:, part[0].spec.actions.names.index(name)]
            for part in parts
            if name in part[0].spec.actions.names
        ]
        by_dimension.append(_action_statistics(np.concatenate(known)[:, None]))
    relative = {}
    if reference_state is not None and spec.states.get(reference_state) == len(spec.actions):
        if any(
            reference_state not in dataset.spec.states or dataset.spec.actions.names != spec.actions.names
            for dataset, _ in parts
        ):
            raise ValueError(
                f"actions relative to {reference_state} need this state vector and all action dimensions, in the same "
                "order, in every dataset of a mixture: train with absolute actions"
            )
        differences = [
            relative_actions(
                dataset.columns[ACTION],
                dataset.columns[reference_state],
                [(int(dataset.starts[episode]), int(dataset.ends[episode])) for episode in episodes],
                chunk_size,
                spec.actions,
            )
            for dataset, episodes in parts
        ]
        relative[reference_state] = _action_statistics(np.concatenate(differences))
    return Statistics(states=states, actions=_stacked(by_dimension), relative_actions=relative)


def relative_actions(
    actions: Float32[np.ndarray, "rows N"],
    states: Float32[np.ndarray, "rows N"],
    episodes: Iterable[tuple[int, int]],
    chunk_size: int,
    spec: ActionSpec,
) -> Float32[np.ndarray, "n N"]:
    """Gather the next `chunk_size` actions of every timestep, minus a state vector of that timestep.

    Differences of periodic dimensions are the shorter way around.

    Args:
        actions: Actions of all rows.
        states: The state vector of all rows.
        episodes: First row, and row after the last one, of each episode.
        chunk_size: C, the number of actions predicted at each timestep.
        spec: Bounds and kinds of the actions.
    """
    differences = [
        actions[first + step : until] - states[first : until - step]
        for first, until in episodes
        for step in range(min(chunk_size, until - first))
    ]
    values = np.concatenate(differences)
    for dimension in np.flatnonzero(spec.periodic):
        turn = spec.high[dimension] - spec.low[dimension]
        values[:, dimension] -= turn * np.round(values[:, dimension] / turn)
    return values


def _action_statistics(values: np.ndarray) -> VectorStatistics:
    """Compute statistics with quantiles; of many values, these leave out at least the smallest and the largest."""
    quantiles: dict[str, torch.Tensor] = {}
    if len(values) >= FEW:
        quantiles["low_quantile"] = _tensor(np.quantile(values, TAIL, axis=0, method="higher"))
        quantiles["high_quantile"] = _tensor(np.quantile(values, 1 - TAIL, axis=0, method="lower"))
    return replace(_vector_statistics(values), **quantiles)


def _vector_statistics(values: np.ndarray) -> VectorStatistics:
    std = values.std(axis=0, dtype=np.float64)
    std[std <= CONSTANT * np.abs(values).max(axis=0)] = 1.0
    return VectorStatistics(
        mean=_tensor(values.mean(axis=0, dtype=np.float64)),
        std=_tensor(std),
        min=_tensor(values.min(axis=0)),
        max=_tensor(values.max(axis=0)),
    )


def _stacked(parts: Sequence[VectorStatistics]) -> VectorStatistics:
    """Put the statistics of single dimensions together; quantiles only if all have them."""
    fields = {name: [getattr(part, name) for part in parts] for name in vars(parts[0])}
    complete = {name: values for name, values in fields.items() if all(value is not None for value in values)}
    return VectorStatistics(**{name: torch.cat(values) for name, values in complete.items()})


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
