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
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention.cache import SegmentCache
from astra.attention.chunks import chunks_of_timesteps
from astra.attention.masks import additive, split_mask
from astra.attention.positions import LearnedPositions, RelativePositions, SegmentSizes
from astra.attention.segments import Kind, TokenIds, concatenate, interleave, segment_ids, split
from astra.attention.transformer import SharedPrompt, Transformer
from astra.objects import PromptPictures
from astra.policies.action_heads import build_head
from astra.policies.decoding import Decoding
from astra.policies.policy import Losses, Policy
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.tokenizers.language import LanguageConfig
from astra.tokenizers.relative_actions import measured_from
from astra.tokenizers.states import StateConfig
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class AstraConfig:
    """Size and options of an Astra."""

    layers: int = 4
    """Transformer blocks."""
    heads: int = 4
    """Attention heads, H in shapes of attention."""
    width: int = 192
    """D, the width of a token."""
    positions: Literal["learned", "relative"] = "relative"
    """A table over 1,024 places (the paper's counts), or biases over timesteps (windows, long episodes)."""
    window: int | None = None
    """W, timesteps that a token may read back, its own included; None reads back to the first."""
    horizon: int = 1
    """Actions predicted at each timestep. Deviation: the paper predicts one."""
    horizon_sample: int | None = None
    """Steps of the horizon, drawn anew for each update, whose queries are trained; None trains all. Queries are
    independent of each other, so the expected gradient is the same and an update costs less."""
    relative_to: str | None = None
    """State vector, with the actions' own dimensions and units, from which actions are read and predicted: a_{t+h} as
    its distance from s_t. None: as they are. Deviation: the paper does not say."""
    dropout: float = 0.0
    """Share of activations dropped in training."""
    soft_labels: float = 0.0
    """Width, in bins, of the Gaussian that smooths discrete labels."""
    language: LanguageConfig = field(default_factory=LanguageConfig)
    """How prompts become tokens."""
    states: StateConfig = field(default_factory=StateConfig)
    """How state vectors and camera frames become tokens."""
    actions: DiscreteActionsConfig | ContinuousActionsConfig = field(default_factory=DiscreteActionsConfig)
    """How actions become tokens, and with it what is predicted."""
    decoding: Decoding = field(default_factory=Decoding)
    """How the policy acts."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Astra":
        """Make the policy, with new weights."""
        return Astra(self, spec, statistics)


@dataclass
class AstraState:
    """What B slots of a rollout remember; `act` writes into it and returns it."""

    cache: SegmentCache
    timestep: Int[Tensor, " B"]
    """The timestep that comes next, per slot."""
    origin: Float[Tensor, "B N"]
    """What the last action was measured from; zero where actions are as they are."""
    plan: Float[Tensor, "B H N"]
    """The actions predicted last, for a horizon of H timesteps."""
    plan_age: Int[Tensor, " B"]
    """How many actions of the plan have been executed."""
    generators: list[torch.Generator]
    """Each slot's own source of chance."""


class Astra(Policy[AstraState]):
    """The policy of the paper."""

    def __init__(self, config: AstraConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Make tokenizers, queries, trunk and head.

        Raises:
            ValueError: if the options contradict each other.
        """
        super().__init__()
        if config.window is not None and config.positions == "learned":
            raise ValueError("a window needs positions='relative': learned positions end with their table")
        self.config, self.spec, self.statistics = config, spec, statistics
        self.decode_with(config.decoding)
        width, N = config.width, len(spec.actions)
        self.language = config.language.build(spec, statistics, width)
        self.states = config.states.build(spec, statistics, width)
        measured = (spec, statistics)
        if config.relative_to is not None:
            measured = measured_from(config.relative_to, spec, statistics)
        self.actions = config.actions.build(*measured, width)
        self.sizes = SegmentSizes(prompt=self.language.max_tokens, state=self.states.num_tokens, action=N)
        self.queries = nn.Parameter(torch.randn(config.horizon * N, width) * 0.02)
        relative = config.positions == "relative"
        self.relative = RelativePositions(self.sizes, width, config.heads) if relative else None
        self.transformer = Transformer(
            layers=config.layers,
            heads=config.heads,
            width=width,
            dropout=config.dropout,
            positions=None if relative else LearnedPositions(self.sizes, width),
        )
        self.head = build_head(self.actions, width, config.soft_labels)

    @property
    def horizon(self) -> int:
        """Actions predicted at each timestep."""
        return self.config.horizon

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1, and the share of actions predicted right, over valid entries that vary in the data only.

        Raises:
            ValueError: if the trajectory holds fewer actions than the horizon needs.
        """
        T, H, N = trajectory.num_timesteps, self.config.horizon, self.sizes.action
        steps = torch.arange(H, device=trajectory.actions.device)
        if self.training and self.config.horizon_sample is not None:
            steps = torch.randperm(H)[: self.config.horizon_sample].to(steps.device)
        if trajectory.actions.shape[1] < T + H - 1:
            raise ValueError(
                f"a horizon of {H} over {T} timesteps needs {T + H - 1} actions, got {trajectory.actions.shape[1]}"
            )
        outputs = self._read(trajectory, steps)
        predicted = self.head(outputs.unflatten(1, (T, len(steps), N)))
        targets = trajectory.actions.unfold(1, H, 1)[:, :T, :, steps].movedim(-1, 2)
        if (origin := self.origin(trajectory)) is not None:
            targets = targets - origin[:, :, None]
        valid = (trajectory.action_valid.unfold(1, H, 1)[:, :T, steps] & trajectory.valid[:, :, None])[..., None]
        valid = valid & self.head.varies
        count = valid.sum()
        cost = self.head.loss(predicted, targets).masked_fill(~valid, 0.0).sum() / count.clamp(min=1)
        with torch.no_grad():
            correct = (self.head.correct(predicted, targets) & valid).sum() / count.clamp(min=1)
        return Losses(behaviour_cloning=cost, metrics={"action_accuracy": correct}, count=count)

    def encode(self, trajectory: Trajectory) -> tuple[Float[Tensor, "B T M D"], Float[Tensor, "B T N D"]]:
        """Encode states and actions without any query; what stands at a hidden object means nothing.

        Source: section 3.3 and Figure 7b.
        """
        encoded = self._read(trajectory, None)
        states, actions = split(encoded, self.sizes.state, self.sizes.action)
        return states, actions

    @torch.no_grad()
    def start(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None = None
    ) -> AstraState:
        """Begin one rollout per instruction: read the prompts."""
        B, device = len(instructions), self.queries.device
        prompt, valid = self.language(instructions, pictures, self.states.objects)
        ids = _batched(segment_ids(Kind.PROMPT, prompt.shape[1]).to(device), B)
        cache = SegmentCache.empty(self.transformer, self.sizes, B, self.config.window)
        cache.read(self.transformer, self._place(prompt, ids), ids, valid, positions=self.relative)
        return AstraState(
            cache=cache,
            timestep=torch.zeros(B, dtype=torch.long, device=device),
            origin=torch.zeros(B, self.sizes.action, device=device),
            plan=torch.zeros(B, self.config.horizon, self.sizes.action, device=device),
            plan_age=torch.zeros(B, dtype=torch.long, device=device),
            generators=[torch.Generator().manual_seed(seed) for seed in seeds],
        )

    @torch.no_grad()
    def restart(
        self,
        state: AstraState,
        slots: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None = None,
    ) -> AstraState:
        """Begin anew in some slots."""
        fresh = self.start(instructions, seeds, pictures)
        state.cache.replace(slots, fresh.cache)
        state.timestep[slots] = 0
        state.plan_age[slots] = 0
        for slot, generator in zip(slots.nonzero()[:, 0].tolist(), fresh.generators, strict=True):
            state.generators[slot] = generator
        return state

    @torch.no_grad()
    def act(self, state: AstraState, observation: Observation) -> tuple[Float[Tensor, "B N"], AstraState]:
        """Read the executed action and the new state, and query the next action."""
        replan = (state.plan_age >= self.decoding.execute) | (state.timestep == 0)
        predicted = self.predict(state, observation, ask=bool(replan.any()))
        if predicted is not None:
            generators = [state.generators[slot] for slot in replan.nonzero()[:, 0].tolist()]
            plan = self.head.decode(predicted[replan], self.decoding.temperature, generators)
            state.plan[replan] = self.within_bounds(plan + state.origin[replan][:, None])
            state.plan_age[replan] = 0
        action = state.plan[torch.arange(len(state.timestep), device=state.timestep.device), state.plan_age]
        state.plan_age += 1
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
        B, M, N = len(state.timestep), self.sizes.state, self.sizes.action
        states, seen = self.states(observation)
        actions = self.actions(observation.previous_action - state.origin)
        if (origin := self.origin(observation)) is not None:
            state.origin = origin
        t = state.timestep[:, None]
        device = t.device
        ids = concatenate(
            _batched(segment_ids(Kind.ACTION, N).to(device), B, t - 1),
            _batched(segment_ids(Kind.STATE, M).to(device), B, t),
        )
        valid = torch.cat([(t > 0).expand(B, N), seen], dim=1)
        tokens = self._place(torch.cat([actions, states], dim=1), ids)
        queries = ids_of_queries = None
        if ask:
            ids_of_queries = _batched(segment_ids(Kind.QUERY, len(self.queries)).to(device), B, t)
            queries = self._place(self.queries.expand(B, -1, -1), ids_of_queries)
        outputs = state.cache.read(self.transformer, tokens, ids, valid, queries, ids_of_queries, self.relative)
        state.timestep += 1
        return None if outputs is None else self.head(outputs.unflatten(1, (self.config.horizon, N)))

    @torch.no_grad()
    def attention_maps(self, trajectory: Trajectory) -> tuple[list[Float[Tensor, "B H R C"]], TokenIds, TokenIds]:
        """Give each block's attention weights, with the ids of rows and columns.

        Rows are the context and the queries of the action at hand, columns are prompt and context.
        """
        steps = torch.zeros(1, dtype=torch.long, device=trajectory.actions.device)
        inputs, rows, columns = self._inputs(trajectory, steps)
        return self.transformer.attention_maps(*inputs), rows, columns

    def _read(self, trajectory: Trajectory, steps: Int[Tensor, " h"] | None) -> Float[Tensor, "B R D"]:
        """Run the trunk: give the outputs of the queries of some steps, or of the context (None)."""
        inputs, _, _ = self._inputs(trajectory, steps)
        prompt, context, queries, _ = inputs
        T, M = trajectory.num_timesteps, self.sizes.state
        N = (context.shape[1] - T * M) // max(T - (steps is not None), 1)
        chunks = chunks_of_timesteps(
            prompt.tokens.shape[1], M, N, T, queries.shape[1] // T, actions=T if steps is None else T - 1
        )
        return self.transformer(*inputs, context_out=steps is None, chunks=chunks)

    def _inputs(
        self, trajectory: Trajectory, steps: Int[Tensor, " h"] | None = None
    ) -> tuple[tuple[SharedPrompt, Tensor, Tensor, Tensor], TokenIds, TokenIds]:
        """Lay out prompt, context, queries of some steps of the horizon (None: no queries) and mask."""
        (B, T), M = trajectory.valid.shape, self.sizes.state
        device = trajectory.valid.device
        # The last action comes after all queries, and with a window of one timestep none reads any action.
        N = 0 if steps is not None and self.config.window == 1 else self.sizes.action
        num_actions = T if steps is None else T - 1
        first, number = trajectory.distinct_prompts()
        of = torch.tensor(number, device=device)
        pictures = None if trajectory.pictures is None else trajectory.pictures[first]
        instructions = tuple(trajectory.instructions[row] for row in first)
        prompt, prompt_valid = self.language(instructions, pictures, self.states.objects)
        L = prompt.shape[1]

        slots = torch.arange(0, device=device) if steps is None else _query_slots(steps, self.sizes.action)
        rows, columns, allowed = split_mask(L, M, N, T, len(slots), window=self.config.window, actions=num_actions)
        rows, columns, allowed = rows.to(device), columns.to(device), allowed.to(device)
        C = len(columns.kind) - L
        rows = TokenIds(rows.kind, rows.timestep, torch.cat([rows.slot[:C], slots.repeat(T)]))

        executed, origin = trajectory.actions[:, :T], self.origin(trajectory)
        actions = self.actions(executed if origin is None else executed - origin)[:, :, :N]
        states, seen = self.states(trajectory)
        state_valid = trajectory.valid[:, :, None] & seen
        action_valid = trajectory.action_valid[:, :T, None].expand(B, T, N)
        valid = torch.cat([prompt_valid[of], interleave(state_valid, action_valid)[:, :C]], dim=1)
        context = self._place(interleave(states, actions)[:, :C], rows.select(slice(0, C)))
        queries = self._place(self.queries[slots].repeat(T, 1), rows.select(slice(C, None))).expand(B, -1, -1)

        ids = columns.select(slice(0, L))
        prompt_mask = self._mask(prompt_valid[:, None, :].expand(-1, L, -1), ids, ids)
        shared = SharedPrompt(self._place(prompt, ids), prompt_mask, of)
        allowed = allowed[None] if valid.all() else allowed & valid[:, None, :]
        return (shared, context, queries, self._mask(allowed, rows, columns)), rows, columns

    def origin(self, source: Trajectory | Observation) -> Float[Tensor, "*batch N"] | None:
        """Give what actions are measured from; None where they are as they are."""
        if self.config.relative_to is None:
            return None
        vector = source.states[self.config.relative_to]
        return vector.masked_fill(torch.tensor(self.spec.actions.binary, device=vector.device), 0.0)

    def within_bounds(self, actions: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Give the actions, those outside the bounds of the data on the bound."""
        return actions.clamp(actions.new_tensor(self.spec.actions.low), actions.new_tensor(self.spec.actions.high))

    def _mask(self, allowed: Bool[Tensor, "B2 _ C"], rows: TokenIds, columns: TokenIds) -> Float[Tensor, "B2 H2 _ C"]:
        """Turn who may attend to whom into what is added to attention scores."""
        mask = additive(allowed, self.queries.dtype)[:, None]
        return mask if self.relative is None else mask + self.relative.bias(rows, columns)

    def _place(self, tokens: Float[Tensor, "*B S D"], ids: TokenIds) -> Float[Tensor, "*B S D"]:
        """Add its position to each token."""
        positions = self.relative if self.relative is not None else self.transformer.positions
        assert positions is not None
        return tokens + positions(ids)


def _query_slots(steps: Int[Tensor, " h"], N: int) -> Int[Tensor, " hN"]:
    """Number the queries of some steps of the horizon: step h and dimension n have slot h N + n."""
    return (steps[:, None] * N + torch.arange(N, device=steps.device)).flatten()


def _batched(ids: TokenIds, B: int, timestep: Int[Tensor, "B 1"] | None = None) -> TokenIds:
    at = ids.timestep.expand(B, -1) if timestep is None else timestep.expand(B, ids.kind.shape[-1])
    return TokenIds(ids.kind.expand(B, -1), at, ids.slot.expand(B, -1))
