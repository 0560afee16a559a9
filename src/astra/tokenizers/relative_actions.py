"""Actions measured from the state in which they are chosen: where the hand is to go, seen from where it is."""

from dataclasses import replace

import torch

from astra.trajectory import Statistics, TrajectorySpec

SPREAD = 4.0
"""Standard deviations about the mean that the bounds hold; the few values beyond them count as on the bound."""


def measured_from(vector: str, spec: TrajectorySpec, statistics: Statistics) -> tuple[TrajectorySpec, Statistics]:
    """Give the bounds and the statistics that actions have when a state vector is taken off them.

    Binary dimensions, such as a gripper's, stay as they are; differences of angles are cut at their bounds too.

    Args:
        vector: name of a state vector with the actions' own dimensions, in their order and units.
        spec: of the actions as they are.
        statistics: which hold `relative_actions` of that vector.

    Raises:
        ValueError: if there is no such vector, or its length is not that of an action.
    """
    N = len(spec.actions)
    if spec.states.get(vector) != N or vector not in statistics.relative_actions:
        fitting = [name for name, size in spec.states.items() if size == N]
        raise ValueError(
            f"actions of {N} dimensions cannot be measured from {vector!r}; state vectors of that length: "
            f"{', '.join(fitting) or 'none'}"
        )
    relative, binary = statistics.relative_actions[vector], torch.tensor(spec.actions.binary)
    low = torch.maximum(relative.min, relative.mean - SPREAD * relative.std)
    high = torch.minimum(relative.max, relative.mean + SPREAD * relative.std)
    high = torch.where(high > low, high, low + 1.0)  # a dimension that never moves still needs a range
    low = torch.where(binary, torch.tensor(spec.actions.low), low)
    high = torch.where(binary, torch.tensor(spec.actions.high), high)
    bounds = {"low": tuple(low.tolist()), "high": tuple(high.tolist())}
    return replace(spec, actions=replace(spec.actions, periodic=(), **bounds)), replace(statistics, actions=relative)
