"""The contract of a policy: pi(a_t | p, s_<=t, a_<t), trained by `loss`, rolled out by `start` and `act`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.objects import PromptPictures
from astra.policies.decoding import Decoding
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec

State = TypeVar("State")


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What one batch costs; every mean is over the valid action entries only."""

    behavior_cloning: Float[Tensor, ""]
    """Mean of -log pi(a_i,t | p, s_<=t, a_<t) over valid entries (or smooth-L1). Source: Eq. 1."""
    metrics: Mapping[str, Float[Tensor, ""]]
    """Further detached means to log, such as {"action_accuracy": 0.4}."""
    count: Int[Tensor, ""]
    """Number of valid action entries, by which means of several batches are weighted."""


class Policy(nn.Module, ABC, Generic[State]):
    """A policy keeps no state of a rollout: all of it is in the `State` that `start` makes and `act` returns."""

    config: Any
    """The `PolicyConfig` that it was built from."""
    spec: TrajectorySpec
    """What the policy sees and does."""
    statistics: Statistics
    """By what it normalizes."""
    decoding: Decoding = Decoding()
    """How it acts."""

    @property
    def chunk_size(self) -> int:
        """Actions predicted at each timestep."""
        return 1

    def decode_with(self, decoding: Decoding) -> None:
        """Act in this way from now on.

        Raises:
            ValueError: if a plan is not as long as it is to be followed, or the temperature is negative.
        """
        decoding.check(self.chunk_size)
        self.decoding = decoding

    @abstractmethod
    def loss(self, trajectory: Trajectory) -> Losses:
        """Compare the predicted actions of every valid timestep with the trajectory's."""

    @abstractmethod
    def start(self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None = None) -> State:
        """Begin one rollout per instruction; each slot samples from a generator of its own seed.

        `pictures` are those of the instructions' placeholders, None where no instruction has any.
        """

    @abstractmethod
    def reset(
        self,
        state: State,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None = None,
    ) -> State:
        """Begin anew in the slots told, leaving the others untouched; one instruction and seed per restarted slot."""

    @abstractmethod
    def act(self, state: State, observation: Observation) -> tuple[Float[Tensor, "B N"], State]:
        """Choose each slot's next action, in the environment's own units."""


@runtime_checkable
class PolicyConfig(Protocol):
    """The configuration of a policy: a frozen dataclass, listed in `astra.policies.POLICIES`."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> Policy[Any]:
        """Make the policy, with new weights."""
        ...
