"""The contract of a policy pi(a_t | p, s_<=t, a_<t): trained by `loss`, rolled out by `start`, `reset` and `act`.

The last three check what they are given, and call `start_rollouts`, `restart_rollouts` and `choose_action`.

Training, evaluation, export and analysis use nothing else of a policy or of its configuration. What is not abstract
has a default. A capability that not every policy has is a method whose default says that there is none.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention.inputs import PromptTokens
from astra.attention.segments import TokenIds
from astra.objects import PromptPictures
from astra.observations import check_finite_outputs, check_observation, warn_of_strange_states
from astra.policies.decoding import Decoding, Rollouts, check_start
from astra.tokenizers.actions import ContinuousActions, DiscreteActions
from astra.tokenizers.states import StateConfig
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec, VectorStatistics

State = TypeVar("State")


class PolicyConfig(ABC):
    """Configuration of a policy: a frozen dataclass that inherits from this class and is listed in `POLICIES`.

    A configuration that can change one of these attributes declares a field of the same name. All others keep the
    value given here.
    """

    chunk_size: int = 1
    """Actions predicted at each timestep."""
    reference_state: str | None = None
    """Name of the state vector to which actions are relative; None for absolute actions."""
    window: int | None = None
    """Timesteps to which a token attends, its own included; None for the whole history."""
    states: StateConfig = StateConfig()
    """Parts of the state that the policy uses, and how they become tokens."""

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Height and width in pixels to which the policy resizes camera frames by `astra.frames.resize`.

        Frames are then cached at this size. None, the default: the policy reads frames as they were recorded.
        """
        return None

    @abstractmethod
    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Policy[Any]":
        """Build the policy with new weights.

        Raises:
            ValueError: if options contradict each other or do not fit the data.
        """


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Loss and metrics of one batch; every mean is over the valid action entries."""

    behavior_cloning: Float[Tensor, ""]
    """Mean of -log pi(a_i,t | p, s_<=t, a_<t) over valid entries (or smooth-L1). Source: Eq. 1."""
    metrics: Mapping[str, Float[Tensor, ""]]
    """Detached means to log, such as {"action_accuracy": 0.4}."""
    count: Int[Tensor, ""]
    """Number of valid action entries: the weight of this batch in a mean over batches."""


@dataclass(frozen=True, kw_only=True)
class AttentionMaps:
    """Attention weights of a policy over a batch of trajectories."""

    weights: list[Float[Tensor, "B H R S"]]
    """Weights of each block."""
    rows: TokenIds
    """Tokens that attend: context, then queries."""
    columns: TokenIds
    """Tokens that are attended to: prompt, then context."""


class TrajectoryEncoder(ABC):
    """Encoder of whole trajectories, as contrastive dynamics learning needs it."""

    spec: TrajectorySpec
    """Observations and actions of the policy."""
    actions: DiscreteActions | ContinuousActions
    """Tokenizer of actions."""
    action_statistics: VectorStatistics
    """Statistics of the actions that are tokenized: of the relative ones if actions are relative."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of a token."""

    @abstractmethod
    def state_tokens(
        self, source: Trajectory | Observation
    ) -> tuple[Float[Tensor, "*batch M D"], Bool[Tensor, "*batch M"]]:
        """Return the tokens of states and which of them are real."""

    @abstractmethod
    def prompt_tokens(
        self, instructions: Sequence[str], pictures: PromptPictures | None
    ) -> tuple[Float[Tensor, "P L D"], Bool[Tensor, "P L"]]:
        """Return the tokens of prompts and which of them are real."""

    @abstractmethod
    def reference(self, source: Trajectory | Observation) -> Float[Tensor, "*batch N"] | None:
        """Return the reference state of relative actions, or None for absolute ones."""

    @abstractmethod
    def encode(
        self,
        trajectory: Trajectory,
        *,
        states: tuple[Float[Tensor, "B T M D"], Bool[Tensor, "B T M"]] | None = None,
        prompts: PromptTokens | None = None,
    ) -> tuple[Float[Tensor, "B T M D"], Float[Tensor, "B T N D"]]:
        """Encode states and actions; tokens that the caller already has are not computed again."""


class Policy(nn.Module, ABC, Generic[State]):
    """A policy. The module holds no state of a rollout: `start` creates all of it, and `act` returns it."""

    config: Any
    """The `PolicyConfig` from which the policy was built."""
    spec: TrajectorySpec
    """Observations and actions of the policy."""
    statistics: Statistics
    """Statistics that normalize observations and actions."""
    decoding: Decoding = Decoding()
    """How the policy acts."""

    # ---- What every policy implements

    @abstractmethod
    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute the loss of the predicted actions at every valid timestep."""

    @abstractmethod
    def start_rollouts(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None
    ) -> State:
        """Return the state of new rollouts for `start`, which has checked the arguments."""

    @abstractmethod
    def restart_rollouts(
        self,
        state: State,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None,
    ) -> State:
        """Return the state with new rollouts in some environments for `reset`, which has checked the arguments."""

    @abstractmethod
    def choose_action(self, state: State, observation: Observation) -> tuple[Float[Tensor, "B N"], State]:
        """Choose the next action of each environment for `act`, which has checked the observation."""

    # ---- What has a default

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Check before training that the policy can read all instructions; the default reads any.

        Raises:
            ValueError: if it cannot; the message names the instruction.
        """

    def data_warnings(self, actions: Float[Tensor, "n N"]) -> list[str]:
        """Return warnings about the data, printed before training; the default looks for outliers that waste bins.

        Args:
            actions: Actions of all training episodes, relative to the reference state if there is one.
        """
        tokenizers = [part for part in self.modules() if isinstance(part, DiscreteActions)]
        return [text for tokenizer in tokenizers for text in tokenizer.outliers(actions).values()]

    # ---- What follows from the above

    @torch.no_grad()
    def start(self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None = None) -> State:
        """Start one rollout per instruction and return their state.

        Args:
            instructions: One per environment.
            seeds: Seed of each environment's own random generator.
            pictures: Pictures of the placeholders in the instructions; None if no instruction has any.

        Raises:
            ValueError: if there are no instructions, or not as many as seeds; or if the weights are not in float32.
        """
        check_start(instructions, seeds, self.spec.instructions)
        if not instructions:
            raise ValueError("got no instructions, expected one per environment")
        with self._in_float32():
            return self.start_rollouts(instructions, seeds, pictures)

    @torch.no_grad()
    def reset(
        self,
        state: State,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None = None,
    ) -> State:
        """Start new rollouts in some environments, or in none, and leave the others unchanged.

        Args:
            state: State of all environments.
            where: True for the environments to reset.
            instructions: One per environment that is reset; `seeds` and `pictures` likewise.
            seeds: See `start`.
            pictures: See `start`.

        Raises:
            ValueError: if there are not as many instructions and seeds as environments to reset.
        """
        check_start(instructions, seeds, self.spec.instructions)
        if (marked := int(where.sum())) != len(instructions):
            raise ValueError(f"{marked} environments are to be reset, got {len(instructions)} instructions")
        if not marked:
            return state
        with self._in_float32():
            return self.restart_rollouts(state, where, instructions, seeds, pictures)

    @torch.no_grad()
    def act(self, state: State, observation: Observation) -> tuple[Float[Tensor, "B N"], State]:
        """Return the next action of each environment, in the environment's own units, and the new state.

        Raises:
            ValueError: if the observation does not fit the policy's data, and then the state is as before; or if the
                policy's outputs are not finite.
        """
        checked = self.check(observation)
        if isinstance(state, Rollouts) and len(checked.previous_action) != len(state.generators):
            raise ValueError(
                f"{len(state.generators)} rollouts were started, and the observation is one of "
                f"{len(checked.previous_action)} environments: start one rollout per environment"
            )
        with self._in_float32():
            action, state = self.choose_action(state, checked)
        check_finite_outputs(action)
        return action, state

    def _in_float32(self) -> torch.autocast:
        """Return a context without autocast: states, caches and outputs of rollouts have the type of the weights.

        Raises:
            ValueError: if that is bfloat16 or float16.
        """
        dtype = next((weight.dtype for weight in self.parameters()), torch.float32)
        if dtype in (torch.bfloat16, torch.float16):
            raise ValueError(f"the weights are {dtype}, and policies act in torch.float32: call policy.float()")
        return torch.autocast(self.device.type, enabled=False)

    def check(self, observation: Observation) -> Observation:
        """Return the observation as `choose_action` reads it: checked, converted and on the policy's device.

        Raises:
            ValueError: if it does not fit the policy's data.
        """
        checked = check_observation(
            self.spec,
            observation,
            self.config.states.reads,
            self.device,
            frame_size=self.config.frame_size,
            needs=() if self.config.reference_state is None else (self.config.reference_state,),
        )
        warn_of_strange_states(checked, self.statistics)
        return checked

    @property
    def chunk_size(self) -> int:
        """Actions predicted at each timestep."""
        return self.config.chunk_size

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next((weight.device for weight in self.parameters()), torch.device("cpu"))

    @property
    def trunk(self) -> nn.Module:
        """Part whose parameters are counted as the size of the model; by default the whole policy."""
        return self

    def decode_with(self, decoding: Decoding) -> None:
        """Set how the policy acts from now on.

        Raises:
            ValueError: if more actions are to be executed than are predicted, or a mean is to be sampled.
        """
        decoding.check(self.chunk_size)
        self.decoding = decoding

    # ---- Capabilities that not every policy has

    def attention_maps(self, trajectory: Trajectory) -> AttentionMaps | None:
        """Return the attention weights over a batch, or None if the policy cannot show any."""
        del trajectory
        return None

    def trajectory_encoder(self) -> TrajectoryEncoder:
        """Return the encoder that contrastive dynamics learning trains.

        Raises:
            ValueError: if the policy has none.
        """
        raise ValueError(
            f"contrastive dynamics learning encodes whole trajectories, which a {type(self).__name__} cannot: use a "
            f"policy over one sequence, such as Astra, or set training.contrastive to None"
        )

    def exportable(self) -> Any:
        """Return the policy in the form that `astra.serving.control_step` exports: an `Astra`.

        Raises:
            ValueError: if it cannot be exported.
        """
        raise ValueError(
            f"a {type(self).__name__} cannot be exported, only an Astra with action queries can: load it with "
            f"astra.policies.checkpoint.load_policy and call start and act"
        )
