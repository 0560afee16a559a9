"""Statistics of its own for each dataset of a mixture: its states and actions in common units.

    trained on     (values of a dataset - shift) / scale, by the statistics of this dataset
    acts with      the statistics of the common units times scale plus shift: `astra.trajectory.in_units_of`

State vectors have mean 0 and standard deviation 1 in every dataset. Actions go from 0 to 1 between the bounds of a
dataset's bins, or have mean 0 and standard deviation 1 where they are continuous. Periodic dimensions stay as they are.
A policy takes everything that depends on units from its spec and its statistics, so its weights serve all datasets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from astra.datasets.episode import ACTION
from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.datasets.statistics import compute_statistics
from astra.trajectory import ActionSpec, DatasetUnits, Statistics

ActionUnits = Literal["bounds", "quantiles", "deviations"]
"""How actions are brought to common units: by the bounds of the dataset, by two quantiles, or by mean and standard
deviation."""


def units_of(dataset: LeRobotDataset, episodes: Sequence[int], actions: ActionUnits) -> DatasetUnits:
    """Return the units of a dataset.

    Args:
        dataset: The opened dataset.
        episodes: Its training episodes.
        actions: How actions are brought to common units.
    """
    statistics, spec = compute_statistics(dataset, episodes), dataset.spec.actions
    low, high = torch.tensor(spec.low, dtype=torch.float64), torch.tensor(spec.high, dtype=torch.float64)
    shift, scale, values = low.clone(), (high.float() - low.float()).double(), statistics.actions
    binary, periodic = torch.tensor(spec.binary), torch.tensor(spec.periodic)
    if actions == "deviations":
        shift, scale = torch.where(binary, shift, values.mean), torch.where(binary, scale, values.std)
    elif actions == "quantiles" and values.low_quantile is not None and values.high_quantile is not None:
        kept = binary | (values.high_quantile <= values.low_quantile)
        shift = torch.where(kept, shift, values.low_quantile)
        scale = torch.where(kept, scale, values.high_quantile.double() - values.low_quantile)
    return DatasetUnits(
        state_shift={name: vector.mean.double() for name, vector in statistics.states.items()},
        state_scale={name: vector.std.double() for name, vector in statistics.states.items()},
        action_shift=torch.where(periodic, 0.0, shift),
        action_scale=torch.where(periodic, 1.0, scale),
        low=low,
        high=high,
    )


def in_common_units(dataset: LeRobotDataset, units: DatasetUnits) -> LeRobotDataset:
    """Return a dataset whose state vectors and actions are in common units."""
    spec = dataset.spec.actions
    columns = dict(dataset.columns)
    for name in dataset.spec.states:
        columns[name] = _scaled(columns[name], units.state_shift[name], units.state_scale[name])
    columns[ACTION] = _scaled(columns[ACTION], units.action_shift, units.action_scale)
    low, high = ((bound - units.action_shift) / units.action_scale for bound in (units.low, units.high))
    actions = replace(spec, low=tuple(low.tolist()), high=tuple(high.tolist()))
    return replace(dataset, columns=columns, spec=replace(dataset.spec, actions=actions))


def with_units(
    statistics: Statistics, joint: ActionSpec, units: Mapping[str, tuple[ActionSpec, DatasetUnits]]
) -> Statistics:
    """Return statistics of common units that hold the units of all datasets too.

    Quantiles of the actions are then those of every dataset, as bins between quantiles need them.

    Args:
        statistics: Statistics of all datasets together, in common units.
        joint: Action dimensions of all datasets together, in common units.
        units: Action dimensions and units of each dataset, by its name.
    """
    actions = statistics.actions
    if actions.low_quantile is not None and actions.high_quantile is not None:
        kept = torch.tensor(joint.binary) | torch.tensor(joint.periodic)
        actions = replace(
            actions,
            low_quantile=torch.where(kept, actions.low_quantile, 0.0),
            high_quantile=torch.where(kept, actions.high_quantile, 1.0),
        )
    completed = {name: _completed(own, spec, joint) for name, (spec, own) in units.items()}
    return replace(statistics, actions=actions, datasets=completed)


def _completed(units: DatasetUnits, own: ActionSpec, joint: ActionSpec) -> DatasetUnits:
    """Return units with all action dimensions of a mixture; those that the dataset lacks stay in common units."""
    N, places = len(joint), [joint.names.index(name) for name in own.names]
    made = {
        "action_shift": torch.zeros(N, dtype=torch.float64),
        "action_scale": torch.ones(N, dtype=torch.float64),
        "low": torch.tensor(joint.low, dtype=torch.float64),
        "high": torch.tensor(joint.high, dtype=torch.float64),
    }
    for name, values in made.items():
        values[places] = getattr(units, name)
    return replace(units, **made)


def _scaled(values: np.ndarray, shift: Float[Tensor, " n"], scale: Float[Tensor, " n"]) -> np.ndarray:
    """Return values in common units, computed as tokenizers compute them."""
    return (np.asarray(values) - shift.float().numpy()) / scale.float().numpy()
