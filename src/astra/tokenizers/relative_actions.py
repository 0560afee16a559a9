"""Relative actions: the target minus the present state, such as the gripper's goal seen from where it is."""

from dataclasses import fields, replace

import torch

from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

MAX_DEVIATIONS = 4.0
"""Standard deviations around the mean at which the bounds lie; the few values beyond them are clipped."""
STILL = 1e-4
"""Range of a difference that never varies, as a share of the absolute range: so narrow that its bins are decoded to
nearly its value. With wide bins a robot would move by half a bin at every timestep."""


def relative_action_spec(
    reference_state: str, spec: TrajectorySpec, statistics: Statistics
) -> tuple[TrajectorySpec, Statistics]:
    """Return the spec and the statistics of actions relative to a state vector.

    Binary dimensions, such as a gripper's, stay absolute. Differences of periodic dimensions are the shorter way
    around, so they are not periodic: a small turn across the seam is a small difference.

    Args:
        reference_state: Name of a state vector with the actions' dimensions, in their order and units.
        spec: Spec of the absolute actions.
        statistics: Statistics with `relative_actions` of that vector.

    Raises:
        ValueError: if there is no such vector, or its length is not that of an action.
    """
    N = len(spec.actions)
    if spec.states.get(reference_state) != N or reference_state not in statistics.relative_actions:
        fitting = [name for name, size in spec.states.items() if size == N]
        raise ValueError(
            f"actions of {N} dimensions cannot be relative to {reference_state!r}; state vectors of that length: "
            f"{', '.join(fitting) or 'none'}"
        )
    binary = torch.tensor(spec.actions.binary)
    relative = target_statistics(reference_state, spec.actions, statistics)
    low = torch.maximum(relative.min, relative.mean - MAX_DEVIATIONS * relative.std)
    high = torch.minimum(relative.max, relative.mean + MAX_DEVIATIONS * relative.std)
    least, most = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
    high = torch.where(high > low, high, low + STILL * (most - least))
    low, high = torch.where(binary, least, low), torch.where(binary, most, high)
    bounds = {"low": tuple(low.tolist()), "high": tuple(high.tolist())}
    return replace(spec, actions=replace(spec.actions, periodic=(), **bounds)), replace(statistics, actions=relative)


def target_statistics(reference_state: str | None, actions: ActionSpec, statistics: Statistics) -> VectorStatistics:
    """Return the statistics of what a policy predicts: differences to a state vector, but binary actions themselves.

    Args:
        reference_state: Name of the state vector; None: absolute actions.
        actions: Spec of the absolute actions.
        statistics: Statistics, with `relative_actions` of that vector if there is one.
    """
    absolute = statistics.actions
    relative = absolute if reference_state is None else statistics.relative_actions.get(reference_state, absolute)
    binary = torch.tensor(actions.binary)
    chosen = {}
    for field in fields(VectorStatistics):
        one, other = getattr(absolute, field.name), getattr(relative, field.name)
        chosen[field.name] = other if one is None or other is None else torch.where(binary.to(one.device), one, other)
    return VectorStatistics(**chosen)
