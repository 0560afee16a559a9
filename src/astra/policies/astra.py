"""Astra: trajectory attention and action queries, decoded segment by segment.

    p1 p2 p3 | s1 s2 | q1 q2 q3 | a1 a2 a3 | s1 s2 | q1 q2 q3 | a1 a2 a3 | ...
               t = 1                         t = 2

Prompt, state and action segments read themselves and all segments before them. Each action query q_i is a learned
vector, shared over timesteps, that reads everything up to the present state and is read by nobody; its output
becomes the distribution of action dimension i. One pass gives a whole action, so one control step is one pass.

Source: section 3.2, Figure 2. Options that the paper lacks: a window of attention, and a horizon of H actions
predicted at each timestep (N x H queries), of which the first few are executed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention.initialization import init_std
from astra.attention.masks import ALL_SEGMENTS
from astra.attention.segments import Kind, TokenIds, split
from astra.objects import PromptPictures
from astra.policies.action_heads import behavior_cloning
from astra.policies.autoregression import choose_action, outputs_before_actions
from astra.policies.policy import Losses
from astra.policies.sequence import ModelInputs, SequenceConfig, SequencePolicy, SequenceState, reset_envs
from astra.tokenizers.relative_actions import measured_from
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class AstraConfig(SequenceConfig):
    """Size and options of an Astra."""

    trajectory_attention: bool = True
    """Whether all tokens of a segment read each other; False: causal attention. Source: Table 4."""
    action_queries: bool = True
    """Read actions at action queries; without, they are decoded dimension by dimension. Source: Table 4."""
    chunk_size: int = 1
    """Actions predicted at each timestep. Deviation: the paper predicts one."""
    chunk_sample: int | None = None
    """Steps of the horizon, drawn anew for each update, whose queries are trained; None trains all. Queries are
    independent of each other, so the expected gradient is the same and an update costs less."""
    reference_state: str | None = None
    """State vector, with the actions' own dimensions and units, from which actions are read and predicted: a_{t+h} as
    its distance from s_t. None: as they are. Deviation: the paper does not say."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Astra":
        """Make the policy, with new weights."""
        return Astra(self, spec, statistics)


@dataclass
class AstraState(SequenceState):
    """What B slots of a rollout remember; `act` writes into it and returns it."""

    reference: Float[Tensor, "B N"]
    """What the last action was measured from; zero where actions are as they are."""
    chunk: Float[Tensor, "B H N"]
    """The actions predicted last, for a horizon of H timesteps."""
    chunk_age: Int[Tensor, " B"]
    """How many actions of the plan have been executed."""


class Astra(SequencePolicy[AstraState]):
    """The policy of the paper."""

    config: AstraConfig

    def __init__(self, config: AstraConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Make tokenizers, queries, trunk and head.

        Raises:
            ValueError: if the options contradict each other.
        """
        if not config.action_queries and config.chunk_size > 1:
            raise ValueError(
                f"without action queries one action is predicted at a time, got horizon={config.chunk_size}"
            )
        super().__init__(
            config,
            spec,
            statistics,
            measured=None
            if config.reference_state is None
            else measured_from(config.reference_state, spec, statistics),
            causal_segments=causal_segments(config),
        )
        queries = torch.randn(config.chunk_size * self.sizes.action, config.width) * init_std(config.width)
        self.queries = nn.Parameter(queries) if config.action_queries else None

    @property
    def chunk_size(self) -> int:
        """Actions predicted at each timestep."""
        return self.config.chunk_size

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1, and the share of actions predicted right, over valid entries that vary in the data only.

        Raises:
            ValueError: if the trajectory holds fewer actions than the horizon needs.
        """
        T, H, N = trajectory.num_timesteps, self.config.chunk_size, self.sizes.action
        steps = torch.arange(H, device=trajectory.actions.device)
        if self.training and self.config.chunk_sample is not None:
            steps = torch.randperm(H)[: self.config.chunk_sample].to(steps.device)
        if trajectory.actions.shape[1] < T + H - 1:
            raise ValueError(
                f"a horizon of {H} over {T} timesteps needs {T + H - 1} actions, got {trajectory.actions.shape[1]}"
            )
        if self.queries is None:
            predicted = self.head(outputs_before_actions(self, trajectory)[:, :, None])
        else:
            predicted = self.head(self._ask(trajectory, steps).unflatten(1, (T, len(steps), N)))
        targets = trajectory.actions.unfold(1, H, 1)[:, :T, :, steps].movedim(-1, 2)
        if (reference := self.reference(trajectory)) is not None:
            targets = targets - reference[:, :, None]
        valid = trajectory.action_valid.unfold(1, H, 1)[:, :T, steps] & trajectory.valid[:, :, None]
        return behavior_cloning(self.head, predicted, targets, valid)

    def encode(self, trajectory: Trajectory) -> tuple[Float[Tensor, "B T M D"], Float[Tensor, "B T N D"]]:
        """Encode states and actions without any query; what stands at a hidden object means nothing.

        Source: section 3.3 and Figure 7b.
        """
        laid_out = self.lay_out(trajectory, actions=trajectory.num_timesteps)
        encoded = self.read(laid_out, context_out=True)
        states, actions = split(encoded, self.sizes.state, self.sizes.action)
        return states, actions

    @torch.no_grad()
    def start(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None = None
    ) -> AstraState:
        """Begin one rollout per instruction: read the prompts."""
        B, device = len(instructions), self.device
        return AstraState(
            **vars(self.fresh(instructions, seeds, pictures)),
            reference=torch.zeros(B, self.sizes.action, device=device),
            chunk=torch.zeros(B, self.config.chunk_size, self.sizes.action, device=device),
            chunk_age=torch.zeros(B, dtype=torch.long, device=device),
        )

    @torch.no_grad()
    def reset(
        self,
        state: AstraState,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None = None,
    ) -> AstraState:
        """Begin anew in some slots."""
        reset_envs(state, where, self.fresh(instructions, seeds, pictures))
        state.chunk_age[where] = 0
        return state

    @torch.no_grad()
    def act(self, state: AstraState, observation: Observation) -> tuple[Float[Tensor, "B N"], AstraState]:
        """Read the executed action and the new state, and query the next action."""
        if self.queries is None:
            executed = self._take_origin(state, observation)
            chosen = choose_action(self, state, observation, executed)
            state.timestep += 1
            return self.within_bounds(chosen + state.reference), state
        replan = (state.chunk_age >= self.decoding.n_action_steps) | (state.timestep == 0)
        predicted = self.predict(state, observation, ask=bool(replan.any()))
        if predicted is not None:
            generators = [state.generators[slot] for slot in replan.nonzero()[:, 0].tolist()]
            chunk = self.head.decode(predicted[replan], self.decoding.temperature, generators)
            state.chunk[replan] = self.within_bounds(chunk + state.reference[replan][:, None])
            state.chunk_age[replan] = 0
        action = state.chunk[torch.arange(len(state.timestep), device=state.timestep.device), state.chunk_age]
        state.chunk_age += 1
        return action, state

    @torch.no_grad()
    def predict(
        self, state: AstraState, observation: Observation, *, ask: bool = True
    ) -> Float[Tensor, "B H N K"] | None:
        """Read the executed action and the new state, and give the head's outputs for the horizon from here on.

        Args:
            state: Written into; its timestep moves on.
            observation: What is seen now, and the action executed before.
            ask: Whether anything is asked; without it the history grows and nothing comes out.
        """
        assert self.queries is not None, "only action queries predict a whole action in one pass"
        executed = self._take_origin(state, observation)
        outputs, _ = self.observe(state, observation, executed, self.queries if ask else None)
        state.timestep += 1
        return None if outputs is None else self.head(outputs.unflatten(1, (self.config.chunk_size, self.sizes.action)))

    @torch.no_grad()
    def attention_maps(self, trajectory: Trajectory) -> tuple[list[Float[Tensor, "B H R C"]], TokenIds, TokenIds]:
        """Give each block's attention weights, with the ids of rows and columns.

        Rows are the context and the queries of the action at hand, columns are prompt and context.
        """
        asked = self.lay_out_asking(trajectory, torch.zeros(1, dtype=torch.long, device=self.device))
        return self.transformer.attention_maps(*asked.inputs), asked.rows, asked.columns

    def lay_out_asking(self, trajectory: Trajectory, steps: Int[Tensor, " h"]) -> ModelInputs:
        """Lay out the sequence with the queries of some steps of the horizon."""
        assert self.queries is not None, "there are no action queries"
        slots = _query_slots(steps, self.sizes.action)
        # The last action comes after all queries, and a window of 1 holds none.
        actions = 0 if self.config.window == 1 else trajectory.num_timesteps - 1
        return self.lay_out(trajectory, actions=actions, slots=slots, queries=self.queries)

    def _ask(self, trajectory: Trajectory, steps: Int[Tensor, " h"]) -> Float[Tensor, "B Q D"]:
        """Run the trunk: give the outputs of the queries of some steps of the horizon."""
        return self.read(self.lay_out_asking(trajectory, steps), context_out=False)

    def _take_origin(self, state: AstraState, observation: Observation) -> Float[Tensor, "B N"]:
        """Give the executed action as it was measured, and note what the next one is measured from."""
        executed = observation.previous_action - state.reference
        if (reference := self.reference(observation)) is not None:
            state.reference = reference
        return executed

    def reference(self, source: Trajectory | Observation) -> Float[Tensor, "*batch N"] | None:
        """Give what actions are measured from; None where they are as they are."""
        if self.config.reference_state is None:
            return None
        vector = source.states[self.config.reference_state]
        return vector.masked_fill(torch.tensor(self.spec.actions.binary, device=vector.device), 0.0)

    def within_bounds(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the actions, those outside the bounds of the data on the bound."""
        return actions.clamp(actions.new_tensor(self.spec.actions.low), actions.new_tensor(self.spec.actions.high))


def causal_segments(config: AstraConfig) -> frozenset[Kind]:
    """Tell inside which segments attention is causal.

    None in the paper's Astra. An action that is read dimension by dimension must not be read ahead, so without action
    queries its segments are causal.
    """
    if not config.trajectory_attention:
        return ALL_SEGMENTS
    return frozenset() if config.action_queries else frozenset({Kind.ACTION})


def _query_slots(steps: Int[Tensor, " h"], N: int) -> Int[Tensor, " hN"]:
    """Number the queries of some steps of the horizon: step h and dimension n have slot h N + n."""
    return (steps[:, None] * N + torch.arange(N, device=steps.device)).flatten()
