"""Astra: trajectory attention and action queries.

    p1 p2 p3 | s1 s2 | q1 q2 q3 | a1 a2 a3 | s1 s2 | q1 q2 q3 | a1 a2 a3 | ...
               t = 1                         t = 2

Trajectory attention: every token of a prompt, state or action segment attends to its whole segment and to all
segments before it. Action queries: each q_i is a learned vector, shared over timesteps, that attends to everything up
to the current state. Nothing attends to a query. Its output is the distribution of action dimension i, so one pass
gives a whole action.

Source: section 3.2, Figure 2. Options that the paper lacks: an attention window, relative actions, and action chunks
of C actions, predicted by C x N queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention.initialization import init_std
from astra.attention.inputs import ModelInputs
from astra.attention.masks import ALL_SEGMENTS
from astra.attention.segments import Kind
from astra.objects import PromptPictures
from astra.policies.action_chunks import ActionChunks, relative_to
from astra.policies.action_heads import behavior_cloning
from astra.policies.policy import AttentionMaps, Losses
from astra.policies.readout import act_by_dimension, outputs_before_dimensions
from astra.policies.sequence import SequenceConfig, SequencePolicy
from astra.policies.sequence_rollout import SequenceState, initial_state, observe, reset_envs
from astra.storage.numbers import Tokens
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class AstraConfig(SequenceConfig):
    """Size and options of an Astra."""

    trajectory_attention: bool = True
    """Whether tokens attend to their whole segment; False for causal attention. Source: Table 4."""
    action_queries: bool = True
    """Whether action queries predict actions; False decodes them dimension by dimension. Source: Table 4."""
    chunk_size: Tokens = 1
    """C, actions predicted at each timestep. Deviation: the paper predicts one."""
    chunk_sample: Tokens | None = None
    """Number of actions of the chunk, drawn for each update, whose queries are trained; None trains all. Queries are
    independent of each other, so the expected gradient is nearly the same and an update costs less: only at the end of
    an episode, where few actions of a chunk exist, these count more. Deviation: the paper trains all."""
    reference_state: str | None = None
    """State vector to which actions are relative: a_{t+c} is predicted as its difference to s_t. It has the actions'
    dimensions and units. None for absolute actions. Deviation: the paper does not say."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Astra":
        """Build the policy with new weights."""
        return Astra(self, spec, statistics)


@dataclass(kw_only=True)
class AstraState(SequenceState):
    """State of B rollouts; `act` updates it in place and returns it."""

    chunks: ActionChunks
    """Action chunk that each environment executes."""


class Astra(SequencePolicy[AstraState]):
    """The policy of the paper."""

    config: AstraConfig

    def __init__(self, config: AstraConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Build tokenizers, queries, trunk and head.

        Raises:
            ValueError: if options contradict each other.
        """
        if not config.action_queries and config.chunk_size > 1:
            raise ValueError(
                f"without action queries one action is predicted at a time: set chunk_size to 1, got "
                f"chunk_size={config.chunk_size}"
            )
        super().__init__(config, spec, statistics, causal_segments=causal_segments(config))
        queries = torch.randn(config.chunk_size * self.sizes.action, config.width) * init_std(config.width)
        self.queries = nn.Parameter(queries) if config.action_queries else None

    # ---- Training

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1 and the accuracy, over valid entries that vary in the data.

        Raises:
            ValueError: if the trajectory holds fewer actions than the chunks need.
        """
        T, C, N = trajectory.num_timesteps, self.config.chunk_size, self.sizes.action
        steps = torch.arange(C, device=trajectory.actions.device)
        if trajectory.actions.shape[1] < T + C - 1:
            raise ValueError(
                f"chunks of {C} actions over {T} timesteps need {T + C - 1} actions, got "
                f"{trajectory.actions.shape[1]}: make windows with chunk_size={C}"
            )
        exist = trajectory.action_valid.unfold(1, C, 1)[:, :T] & trajectory.counted[:, :, None]
        counted = trajectory.only_counted if self.queries is not None else None
        if self.training and self.config.chunk_sample is not None:
            order = torch.randperm(C).to(steps.device)
            # Actions that no trajectory of the batch has, since all end before, come last.
            order = order[torch.sort((~exist.any(1).any(0))[order].long(), stable=True).indices]
            steps = order[: self.config.chunk_sample]
        if self.queries is None:
            predicted = self.head(outputs_before_dimensions(self, trajectory)[:, :, None])
        else:
            outputs = self.run_trunk(self.query_inputs(trajectory, steps, counted), context_out=False)
            predicted = self.head(outputs.unflatten(1, (-1, len(steps), N)))
        exist, targets = exist[:, :, steps], trajectory.actions.unfold(1, C, 1)[:, :T, :, steps].movedim(-1, 2)
        if (reference := self.reference(trajectory)) is not None:
            targets = relative_to(reference[:, :, None], targets, self.spec.actions)
        if counted is not None:
            row = torch.arange(len(counted), device=counted.device)
            exist, targets = exist[row, counted][:, None], targets[row, counted][:, None]
        return behavior_cloning(self.head, predicted, targets, exist, trajectory.action_present)

    def query_inputs(
        self, trajectory: Trajectory, steps: Int[Tensor, " c"], timesteps: Int[Tensor, " B"] | None = None
    ) -> ModelInputs:
        """Return the inputs of the trunk with queries.

        Args:
            trajectory: B trajectories.
            steps: Actions of the chunk whose queries are computed, numbered from 0.
            timesteps: Timestep of each trajectory whose queries are computed; None for all timesteps.
        """
        assert self.queries is not None, "the policy has no action queries"
        tokens = self.tokenize(
            trajectory,
            num_actions=self.num_past_actions(trajectory.num_timesteps),
            queries=self.queries,
            query_slots=_query_slots(steps, self.sizes.action),
            query_timesteps=timesteps,
        )
        return self.model_inputs(tokens, self.attention_mask(tokens, self.hidden_actions(trajectory)))

    # ---- Acting

    def start_rollouts(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None
    ) -> AstraState:
        """Start one rollout per instruction: encode the prompts."""
        return AstraState(
            **vars(initial_state(self, instructions, seeds, pictures)),
            chunks=ActionChunks.empty(len(instructions), self.chunk_size, self.sizes.action, self.device),
        )

    def restart_rollouts(
        self,
        state: AstraState,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None,
    ) -> AstraState:
        """Start new rollouts in some environments; they predict a new chunk at their first timestep."""
        reset_envs(self, state, where, instructions, seeds, pictures)
        return state

    def choose_action(self, state: AstraState, observation: Observation) -> tuple[Float[Tensor, "B N"], AstraState]:
        """Return the next action of the chunk; predict a new chunk where the old one has been executed."""
        if self.queries is None:
            executed = state.chunks.executed_action(observation, self.reference(observation), self.spec.actions)
            chosen = act_by_dimension(self, state, observation, executed)
            state.timestep += 1
            return self.within_bounds(chosen + state.chunks.reference), state
        new = state.chunks.needs_new(state.timestep, self.decoding.n_action_steps)
        predicted = self._predict(state, observation, run_queries=bool(new.any()))
        if predicted is not None:
            generators = [state.generators[env] for env in new.nonzero()[:, 0].tolist()]
            chunk = self.head.decode(predicted[new], self.decoding, generators)
            state.chunks.replace(new, self.within_bounds(chunk + state.chunks.reference[new][:, None]))
        return state.chunks.next_action(), state

    @torch.no_grad()
    def predict(self, state: AstraState, observation: Observation) -> Float[Tensor, "B C N K"]:
        """Append the executed action and the new state to the history, and return the head's outputs for a new chunk.

        Args:
            state: Updated in place.
            observation: The current observation, and the action executed before it.

        Raises:
            ValueError: if the observation does not fit the policy's data.
        """
        predicted = self._predict(state, self.check(observation), run_queries=True)
        assert predicted is not None
        return predicted

    def _predict(
        self, state: AstraState, observation: Observation, *, run_queries: bool
    ) -> Float[Tensor, "B C N K"] | None:
        """Compute `predict`; without the queries the history grows and None is returned."""
        assert self.queries is not None, "only action queries predict a whole action in one pass"
        executed = state.chunks.executed_action(observation, self.reference(observation), self.spec.actions)
        outputs, _ = observe(self, state, observation, executed, self.queries if run_queries else None)
        state.timestep += 1
        return None if outputs is None else self.head(outputs.unflatten(1, (self.chunk_size, self.sizes.action)))

    # ---- Capabilities

    @torch.no_grad()
    def attention_maps(self, trajectory: Trajectory) -> AttentionMaps | None:
        """Return each block's attention weights, with the queries of the next action; None without action queries."""
        if self.queries is None:
            return None
        inputs = self.query_inputs(trajectory, torch.zeros(1, dtype=torch.long, device=self.device))
        weights = self.transformer.attention_maps(inputs.prompt, inputs.context, inputs.queries, inputs.mask)
        return AttentionMaps(weights=weights, rows=inputs.rows, columns=inputs.columns)

    def exportable(self) -> "Astra":
        """Return the policy itself, if its control step can be exported.

        Raises:
            ValueError: if it sees objects, or lacks trajectory attention or action queries.
        """
        if self.spec.objects is not None:
            raise ValueError("a policy with object-centric observations cannot be exported")
        if self.queries is None or self.causal_segments:
            raise ValueError("only an Astra with trajectory attention and action queries can be exported")
        return self


def causal_segments(config: AstraConfig) -> frozenset[Kind]:
    """Return the kinds of segments with causal attention: none in the paper's Astra.

    Without action queries an action is predicted dimension by dimension, so its tokens must not attend to later ones.
    Deviation: the paper does not say which segments stay bidirectional then (Table 4).
    """
    if not config.trajectory_attention:
        return ALL_SEGMENTS
    return frozenset() if config.action_queries else frozenset({Kind.ACTION})


def _query_slots(steps: Int[Tensor, " c"], N: int) -> Int[Tensor, " cN"]:
    """Number the queries of some actions of the chunk: action c and dimension n have slot c N + n."""
    return (steps[:, None] * N + torch.arange(N, device=steps.device)).flatten()
