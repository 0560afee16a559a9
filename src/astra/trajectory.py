"""The data types that all packages share: a batch of trajectories, one observation, and their description.

A trajectory is a prompt, followed by a state and an action at each timestep. Each of these parts is a segment, and each
segment is one or more tokens:

    p_1 ... p_L | s_1,1 ... s_M,1 | a_1,1 ... a_N,1 | ... | s_1,T ... s_M,T | a_1,T ... a_N,T
      prompt         state t=1          action t=1              state t=T         action t=T

Letters have one meaning in the whole project:

    B  batch
    T  timesteps with a state
    A  timesteps with an action: T, or T + C - 1 if action chunks are loaded
    C  chunk size: actions in an action chunk
    L  prompt tokens
    M  state tokens per timestep
    N  action tokens per timestep, one for each action dimension
    S  tokens in the sequence
    D  width of a token
    H  attention heads
    W  attention window, in timesteps
    K  bins of a discrete action dimension
    V  cameras
    O  objects in one view of a state
    P  objects pictured in one prompt
    J  negatives in contrastive dynamics learning

A timestep is time inside a trajectory. An update is one step of the optimizer. An episode is one rollout or one
demonstration.

Source: section 3.1 and appendix A.1 of the paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor

from astra.objects import Objects, ObjectSpec, PromptPictures

Modality = Literal["vectors", "images", "objects"]
"""Kind of observation: state vectors, camera images, or object-centric observations."""


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """Names, bounds and kinds of the N action dimensions."""

    names: tuple[str, ...]
    """Name of each dimension, for plots and error messages."""
    low: tuple[float, ...]
    """Smallest value of each dimension, in the environment's unit."""
    high: tuple[float, ...]
    """Largest value of each dimension, in the environment's unit."""
    binary: tuple[bool, ...] = ()
    """Whether each dimension has only two values, as a gripper has; empty means that none does."""
    periodic: tuple[bool, ...] = ()
    """Whether each dimension wraps around, as an angle from -pi to pi does; empty means that none does."""
    bins: tuple[int, ...] = ()
    """Number of bins that the benchmark prescribes for each dimension; empty leaves the choice to the policy."""

    def __post_init__(self) -> None:
        """Check that every dimension is described.

        Raises:
            ValueError: if the tuples differ in length, a lower bound is not below its upper bound, or a dimension has
                fewer than 2 bins.
        """
        for kind in ("binary", "periodic"):
            if not getattr(self, kind):
                object.__setattr__(self, kind, (False,) * len(self.names))
        lengths = {len(self.names), len(self.low), len(self.high), len(self.binary), len(self.periodic)}
        if len(lengths) != 1 or len(self.bins) not in (0, len(self.names)):
            raise ValueError(
                f"every field of an ActionSpec needs one value per action dimension, got {len(self.names)} names, "
                f"{len(self.low)} low, {len(self.high)} high, {len(self.binary)} binary, {len(self.periodic)} periodic "
                f"and {len(self.bins)} bins (binary, periodic and bins may be left empty)"
            )
        if self.bins and min(self.bins) < 2:
            raise ValueError(f"every action dimension needs at least 2 bins, got bins={self.bins}")
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            if not low < high:
                raise ValueError(f"action dimension {name!r} needs low < high, got {low} and {high}")

    def __len__(self) -> int:
        """Return N, the number of action dimensions."""
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class TrajectorySpec:
    """Description of the trajectories of a dataset or environment. Policies are built from it."""

    states: Mapping[str, int]
    """Length of each state vector by name, such as {"observation.state": 2}."""
    actions: ActionSpec
    """Action dimensions."""
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width in pixels of each camera's RGB images, by name."""
    instructions: tuple[str, ...] = ()
    """Distinct instructions with their placeholders, sorted. The vocabulary of words is built from them."""
    fps: float = 10.0
    """Timesteps per second."""
    objects: ObjectSpec | None = None
    """Views and limits of object-centric observations; None if there are none."""
    suite: str = ""
    """Name of the benchmark suite in which policies are measured; empty if unknown."""


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Batch of B trajectories, padded to T timesteps. `valid` marks the padding, which nothing attends to."""

    instructions: tuple[str, ...]
    """Text of each prompt, with a placeholder for each picture."""
    states: Mapping[str, Float[Tensor, "B T _"]]
    """State vectors by name, in the environment's units."""
    images: Mapping[str, UInt8[Tensor, "B T 3 _ _"]]
    """RGB images by camera, 0 to 255."""
    features: Mapping[str, Float[Tensor, "B T _"]] = field(default_factory=dict)
    """Features of a frozen image encoder by camera. Such a camera is left out of `images`."""
    valid: Bool[Tensor, "B T"]
    """Whether each timestep has a real state. Padding comes last."""
    actions: Float[Tensor, "B A N"]
    """Actions in the environment's units. A > T if action chunks reach beyond the last state."""
    action_valid: Bool[Tensor, "B A"]
    """Whether each action is real."""
    objects: Mapping[str, Objects] = field(default_factory=dict)
    """Objects by view, (B, T, O)."""
    pictures: PromptPictures | None = None
    """Pictures of the prompts; None if all B prompts are text only."""
    episodes: Int64[Tensor, " B"] | None = None
    """Episode number of each trajectory; None if no two trajectories come from the same episode."""
    last_timestep_only: bool = False
    """Whether a loss counts only the last real timestep of each trajectory."""
    present: Mapping[str, Bool[Tensor, " B"]] = field(default_factory=dict)
    """Whether each trajectory has a state vector or camera that others lack; those of all trajectories are left out."""
    action_present: Bool[Tensor, "B N"] | None = None
    """Whether each trajectory has an action dimension; None if all have all."""

    def __post_init__(self) -> None:
        """Check what the types cannot express.

        Raises:
            ValueError: if batch sizes differ, or there are fewer actions than states.
        """
        B, T = self.valid.shape
        if len(self.instructions) != B:
            raise ValueError(f"got {len(self.instructions)} instructions for {B} trajectories, expected one for each")
        if self.actions.shape[1] < T:
            raise ValueError(f"got {self.actions.shape[1]} actions for {T} states, expected at least {T}")
        for name, view in self.objects.items():
            if view.valid.shape[:2] != (B, T):
                raise ValueError(
                    f"objects of view {name!r} have shape {tuple(view.valid.shape)}, expected ({B}, {T}, O)"
                )
        if self.pictures is not None and len(self.pictures.placeholder) != B:
            raise ValueError(f"got the pictures of {len(self.pictures.placeholder)} prompts, expected {B}")

    def to(self, device: torch.device | str) -> "Trajectory":
        """Copy the trajectory to a device."""
        return replace(
            self,
            states={name: value.to(device, non_blocking=True) for name, value in self.states.items()},
            images={name: value.to(device, non_blocking=True) for name, value in self.images.items()},
            features={name: value.to(device, non_blocking=True) for name, value in self.features.items()},
            valid=self.valid.to(device, non_blocking=True),
            actions=self.actions.to(device, non_blocking=True),
            action_valid=self.action_valid.to(device, non_blocking=True),
            objects={name: view.to(device) for name, view in self.objects.items()},
            pictures=None if self.pictures is None else self.pictures.to(device),
            episodes=None if self.episodes is None else self.episodes.to(device, non_blocking=True),
            present={name: flags.to(device, non_blocking=True) for name, flags in self.present.items()},
            action_present=None if self.action_present is None else self.action_present.to(device, non_blocking=True),
        )

    def distinct_prompts(self) -> tuple[list[int], list[int]]:
        """Return the first row of each distinct prompt, and the number of each trajectory's distinct prompt."""
        pictures = [b""] * len(self.instructions) if self.pictures is None else self.pictures.contents()
        first: dict[tuple[str, bytes], int] = {}
        prompts = list(zip(self.instructions, pictures, strict=True))
        for row, prompt in enumerate(prompts):
            first.setdefault(prompt, row)
        number = {prompt: index for index, prompt in enumerate(first)}
        return list(first.values()), [number[prompt] for prompt in prompts]

    @property
    def num_timesteps(self) -> int:
        """T, the number of timesteps with a state, including padding."""
        return self.valid.shape[1]

    @property
    def counted(self) -> Bool[Tensor, "B T"]:
        """Timesteps that a loss counts: all real ones, or the last real one of each trajectory."""
        if not self.last_timestep_only:
            return self.valid
        timesteps = torch.arange(self.num_timesteps, device=self.valid.device)
        return self.valid & (timesteps == self.valid.sum(1, keepdim=True) - 1)

    @property
    def only_counted(self) -> Int64[Tensor, " B"] | None:
        """The only timestep of each trajectory that a loss counts; None if it counts all real ones."""
        return self.counted.int().argmax(1) if self.last_timestep_only else None


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Observations of B environments at one timestep, with the action that each executed before."""

    states: Mapping[str, Float[Tensor, "B _"]]
    """State vectors by name, in the environment's units."""
    images: Mapping[str, UInt8[Tensor, "B 3 _ _"]]
    """RGB images by camera, 0 to 255."""
    previous_action: Float[Tensor, "B N"]
    """Action executed at the previous timestep; any finite numbers at the first timestep of an episode."""
    objects: Mapping[str, Objects] = field(default_factory=dict)
    """Objects by view, (B, O)."""
    present: Mapping[str, Bool[Tensor, " B"]] = field(default_factory=dict)
    """Whether each environment has a state vector or camera that others lack, whose values are then ignored; those of
    all environments are left out."""
    action_present: Bool[Tensor, "B N"] | None = None
    """Whether each environment has an action dimension; None if all have all."""


TAIL = 0.001
"""Share of the data beyond each of the two quantiles by which outliers are recognized."""


@dataclass(frozen=True, kw_only=True)
class VectorStatistics:
    """Statistics of a state vector or of the actions, per dimension, over the training episodes."""

    mean: Float[Tensor, " size"]
    std: Float[Tensor, " size"]
    min: Float[Tensor, " size"]
    max: Float[Tensor, " size"]
    low_quantile: Float[Tensor, " size"] | None = None
    """Value that 0.1 % of the data lie below; None for states, and in checkpoints from before it was stored."""
    high_quantile: Float[Tensor, " size"] | None = None
    """Value that 0.1 % of the data lie above."""


@dataclass(frozen=True, kw_only=True)
class DatasetUnits:
    """Units of one dataset of a mixture; in common units, a value is `(value - shift) / scale`."""

    state_shift: Mapping[str, Float64[Tensor, " _"]]
    """Shift of each of its state vectors, by name."""
    state_scale: Mapping[str, Float64[Tensor, " _"]]
    action_shift: Float64[Tensor, " N"]
    action_scale: Float64[Tensor, " N"]
    low: Float64[Tensor, " N"]
    """Smallest value of each action dimension, in the dataset's units."""
    high: Float64[Tensor, " N"]
    """Largest value of each action dimension, in the dataset's units."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics with which a policy normalizes its inputs and actions. Its checkpoint includes them."""

    states: Mapping[str, VectorStatistics]
    """Statistics of each state vector, by name."""
    actions: VectorStatistics
    """Statistics of the absolute actions."""
    relative_actions: Mapping[str, VectorStatistics] = field(default_factory=dict)
    """Statistics of the relative actions by the name of their reference, a state vector: each action of a chunk minus
    that vector. Empty for absolute actions."""
    datasets: Mapping[str, DatasetUnits] = field(default_factory=dict)
    """Units of each dataset of a mixture whose datasets have statistics of their own, by name, the first one first; the
    other statistics are then in common units. Empty: all data have the same units."""


def in_units_of(spec: TrajectorySpec, statistics: Statistics, name: str = "") -> tuple[TrajectorySpec, Statistics]:
    """Return spec and statistics in the units of one dataset of a mixture; as they are, if all have the same units.

    Args:
        spec: Spec of the policy.
        statistics: Statistics of the policy.
        name: Name of the dataset, or the last part of it; empty: the first of the mixture.

    Raises:
        ValueError: if no dataset, or more than one, has this name.
    """
    known = statistics.datasets
    if not known:
        if name:
            raise ValueError(f"got --statistics {name}, but the policy has the same statistics for all of its data")
        return spec, statistics
    chosen = [full for full in known if name in ("", full)] or [full for full in known if PurePath(full).name == name]
    if len(chosen) != 1 and name:
        raise ValueError(f"the policy has statistics of {', '.join(known)}, got --statistics {name}")
    units = known[chosen[0]]
    actions = replace(spec.actions, low=tuple(units.low.tolist()), high=tuple(units.high.tolist()))
    return replace(spec, actions=actions), Statistics(
        states={
            name: _restored(vector, units.state_shift.get(name), units.state_scale.get(name))
            for name, vector in statistics.states.items()
        },
        actions=_restored(statistics.actions, units.action_shift, units.action_scale),
    )


def _restored(
    statistics: VectorStatistics, shift: Float[Tensor, " n"] | None, scale: Float[Tensor, " n"] | None
) -> VectorStatistics:
    if shift is None or scale is None:  # the dataset lacks this vector
        return statistics
    values = {name: value.double() for name, value in vars(statistics).items() if value is not None}
    spread = (values.pop("std") * scale).float()
    return VectorStatistics(std=spread, **{name: (value * scale + shift).float() for name, value in values.items()})
