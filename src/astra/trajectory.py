"""The one data type: a trajectory of a prompt, states and actions, with validity.

    p_1 ... p_L | s_1,1 ... s_M,1 | a_1,1 ... a_N,1 | ... | s_1,T ... s_M,T | a_1,T ... a_N,T
      prompt         state t=1          action t=1              state t=T         action t=T

Letters, with one meaning in the whole project:

    B  batch                          N  action tokens (= action dimensions) per timestep
    T  timesteps                      H  heads of attention
    A  timesteps of actions, A >= T   K  bins of a discrete action dimension
    L  prompt tokens                  D  width of a token
    M  state tokens per timestep      V  cameras
    S  tokens in a sequence           W  attention window, in timesteps

`timestep` is time inside a trajectory, `update` a step of the optimizer, `episode` one rollout.

Source: section 3.1 and appendix A.1 of the paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from astra.objects import Objects, ObjectSpec, PromptPictures

Modality = Literal["vectors", "images", "objects"]
"""The parts of a state: its vectors, camera frames, and objects seen one by one."""


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """What one action is: a name, bounds and a kind for each of its N dimensions."""

    names: tuple[str, ...]
    """One name per dimension, for plots and error messages."""
    low: tuple[float, ...]
    """Smallest value per dimension, in the environment's own unit."""
    high: tuple[float, ...]
    """Largest value per dimension, in the environment's own unit."""
    binary: tuple[bool, ...] = ()
    """True where a dimension has two values only, such as a gripper; empty: none has."""
    periodic: tuple[bool, ...] = ()
    """True where both bounds are the same value, as an angle's -pi and pi are; empty: none is."""
    bins: tuple[int, ...] = ()
    """Bins into which the benchmark cuts each dimension; empty: it names none, and the policy chooses."""

    def __post_init__(self) -> None:
        """Check that all dimensions are described.

        Raises:
            ValueError: if the tuples differ in length, a bound is not below the other, or there are too few bins.
        """
        for kind in ("binary", "periodic"):
            if not getattr(self, kind):
                object.__setattr__(self, kind, (False,) * len(self.names))
        lengths = {len(self.names), len(self.low), len(self.high), len(self.binary), len(self.periodic)}
        if len(lengths) != 1 or len(self.bins) not in (0, len(self.names)):
            raise ValueError(
                f"an action needs one name, bound and kind per dimension, got {len(self.names)} names, "
                f"{len(self.low)} lower bounds, {len(self.high)} upper bounds, {len(self.binary)} and "
                f"{len(self.periodic)} kinds and {len(self.bins)} numbers of bins (which may be none)"
            )
        if self.bins and min(self.bins) < 2:
            raise ValueError(f"every action dimension needs at least 2 bins, got {self.bins}")
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            if not low < high:
                raise ValueError(f"action dimension {name!r} needs low < high, got {low} and {high}")

    def __len__(self) -> int:
        """Count the dimensions, N."""
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class TrajectorySpec:
    """What the trajectories of a dataset or an environment hold; policies are built from it."""

    states: Mapping[str, int]
    """Length of each state vector, by name: {"state": 2, "environment_state": 16}."""
    actions: ActionSpec
    """The action dimensions."""
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width in pixels of each camera's RGB frames, by name."""
    instructions: tuple[str, ...] = ()
    """The distinct instructions with their placeholders, sorted; the word-level vocabulary is made from them."""
    fps: float = 10.0
    """Timesteps per second."""
    objects: ObjectSpec | None = None
    """The objects, where they are seen one by one; None: they are not."""
    suite: str = ""
    """Name of the benchmark suite in which policies are measured; empty: not known."""


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """A batch of B trajectories, padded to T timesteps; padding is told by `valid` and never read."""

    instructions: tuple[str, ...]
    """The B prompts in words, with placeholders where pictures stand."""
    states: Mapping[str, Float[Tensor, "B T _"]]
    """State vectors by name, in the environment's own units."""
    images: Mapping[str, UInt8[Tensor, "B T 3 _ _"]]
    """Frames by camera, RGB, 0 to 255."""
    features: Mapping[str, Float[Tensor, "B T _"]] = field(default_factory=dict)
    """What a frozen encoder made of a camera's frames, which are left out then."""
    valid: Bool[Tensor, "B T"]
    """True where a timestep holds a real state; padding comes last."""
    actions: Float[Tensor, "B A N"]
    """Actions in the environment's own units; A > T where a horizon of future actions is loaded."""
    action_valid: Bool[Tensor, "B A"]
    """True where an action is real."""
    objects: Mapping[str, Objects] = field(default_factory=dict)
    """(B, T, O) objects by view."""
    pictures: PromptPictures | None = None
    """The pictures of the prompts; None where all B prompts are words alone."""
    episodes: Int64[Tensor, " B"] | None = None
    """Numbers that tell which trajectories are of one episode; None: each is of another."""

    def __post_init__(self) -> None:
        """Check what the types cannot say.

        Raises:
            ValueError: if the batch sizes differ or there are fewer actions than states.
        """
        B, T = self.valid.shape
        if len(self.instructions) != B:
            raise ValueError(f"got {len(self.instructions)} instructions for {B} trajectories")
        if self.actions.shape[1] < T:
            raise ValueError(f"got {self.actions.shape[1]} actions for {T} states")
        for name, view in self.objects.items():
            if view.valid.shape[:2] != (B, T):
                raise ValueError(f"view {name!r} has objects of shape {tuple(view.valid.shape)}, expected {(B, T)} x O")
        if self.pictures is not None and len(self.pictures.placeholder) != B:
            raise ValueError(f"got pictures of {len(self.pictures.placeholder)} prompts for {B} trajectories")

    def to(self, device: torch.device | str) -> "Trajectory":
        """Move every tensor to a device."""
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
        )

    def distinct_prompts(self) -> tuple[list[int], list[int]]:
        """Number the distinct prompts: where each stands first in the batch, and which one each trajectory has."""
        pictures = [b""] * len(self.instructions) if self.pictures is None else self.pictures.contents()
        first: dict[tuple[str, bytes], int] = {}
        prompts = list(zip(self.instructions, pictures, strict=True))
        for row, prompt in enumerate(prompts):
            first.setdefault(prompt, row)
        number = {prompt: index for index, prompt in enumerate(first)}
        return list(first.values()), [number[prompt] for prompt in prompts]

    @property
    def num_timesteps(self) -> int:
        """T, the number of timesteps with a state, padding included."""
        return self.valid.shape[1]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What B slots of a rollout see at one timestep, and the action that each executed before it."""

    states: Mapping[str, Float[Tensor, "B _"]]
    """State vectors by name, in the environment's own units."""
    images: Mapping[str, UInt8[Tensor, "B 3 _ _"]]
    """Frames by camera, RGB, 0 to 255."""
    previous_action: Float[Tensor, "B N"]
    """The action that was executed; not read where a slot is at its first timestep."""
    objects: Mapping[str, Objects] = field(default_factory=dict)
    """(B, O) objects by view."""


@dataclass(frozen=True, kw_only=True)
class VectorStatistics:
    """Statistics of one state vector or of the actions, per dimension, over the training episodes."""

    mean: Float[Tensor, " D"]
    std: Float[Tensor, " D"]
    min: Float[Tensor, " D"]
    max: Float[Tensor, " D"]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics by which a policy normalizes; they travel with its checkpoint."""

    states: Mapping[str, VectorStatistics]
    actions: VectorStatistics
    relative_actions: Mapping[str, VectorStatistics] = field(default_factory=dict)
    """For the state vector from which actions are measured, if any: the actions of a horizon less that vector."""
