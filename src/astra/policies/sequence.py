"""What policies share whose prompt, states and actions are one sequence, read by one transformer.

    p1 p2 p3 | s1 s2 | a1 a2 a3 | s1 s2 | a1 a2 a3 | ...
               t = 1              t = 2

They differ in the direction of attention inside segments, in how many tokens a state and an action are, and in where
the next action is read: at action queries (Astra), at the last state token and each action token before (Gato), or at
the state token alone (Decision Transformer).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from astra.attention import masks
from astra.attention.cache import SegmentCache
from astra.attention.kernels.row_blocks import RowBlock, row_blocks_of
from astra.attention.masks import additive, split_mask
from astra.attention.positions import LearnedPositions, RelativePositions, SegmentSizes
from astra.attention.segments import Kind, TokenIds, concatenate, interleave, segment_ids
from astra.attention.transformer import SharedPrompt, Transformer, TrunkBlock
from astra.objects import PromptPictures
from astra.policies.action_heads import build_head
from astra.policies.decoding import Decoding
from astra.policies.policy import Policy
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.merged import MergedTokens
from astra.tokenizers.states import StateConfig
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """Size and options that all policies over one sequence have."""

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


@dataclass
class SequenceState:
    """What B slots of a rollout remember; `act` writes into it and returns it."""

    cache: SegmentCache
    timestep: Int[Tensor, " B"]
    """The timestep that comes next, per slot."""
    generators: list[torch.Generator]
    """Each slot's own source of chance."""


State = TypeVar("State", bound=SequenceState)


@dataclass(frozen=True, kw_only=True)
class ModelInputs:
    """A batch of sequences, as the trunk takes them."""

    inputs: tuple[SharedPrompt, Float[Tensor, "B C D"], Float[Tensor, "B Q D"], Float[Tensor, "#B #H R S"]]
    """Prompts, context, queries and mask; rows are context then queries, columns are prompt then context."""
    rows: TokenIds
    columns: TokenIds
    row_blocks: tuple[RowBlock, ...]
    """Rows that may be computed apart."""


class SequencePolicy(Policy[State]):
    """Tokenizers, positions, trunk and head of a policy over one sequence."""

    def __init__(
        self,
        config: SequenceConfig,
        spec: TrajectorySpec,
        statistics: Statistics,
        *,
        measured: tuple[TrajectorySpec, Statistics] | None = None,
        causal_segments: Collection[Kind] = (),
        merge_states: bool = False,
        merge_actions: bool = False,
        block: TrunkBlock = "gpt2",
    ) -> None:
        """Make tokenizers, trunk and head.

        Args:
            config: size and options.
            spec: what the policy sees and does.
            statistics: by what it normalizes.
            measured: spec and statistics of actions that are measured from something; None: as they are.
            causal_segments: kinds inside which a token reads only itself and earlier ones.
            merge_states: make one token of a whole state.
            merge_actions: make one token of a whole action.
            block: of which blocks the trunk is made.

        Raises:
            ValueError: if the options contradict each other.
        """
        super().__init__()
        if config.window is not None and config.positions == "learned":
            raise ValueError("a window needs positions='relative': learned positions end with their table")
        self.config, self.spec, self.statistics = config, spec, statistics
        self.decode_with(config.decoding)
        self.causal_segments = frozenset(causal_segments)
        width, N = config.width, len(spec.actions)
        self.language = config.language.build(spec, statistics, width)
        self.states = config.states.build(spec, statistics, width)
        self.actions = config.actions.build(*(measured or (spec, statistics)), width)
        self.one_state = MergedTokens(self.states.num_tokens, width) if merge_states else None
        self.one_action = MergedTokens(N, width) if merge_actions else None
        self.sizes = SegmentSizes(
            prompt=self.language.max_tokens,
            state=1 if merge_states else self.states.num_tokens,
            action=1 if merge_actions else N,
        )
        relative = config.positions == "relative"
        self.relative = RelativePositions(self.sizes, width, config.heads) if relative else None
        self.transformer = Transformer(
            layers=config.layers,
            heads=config.heads,
            width=width,
            dropout=config.dropout,
            positions=None if relative else LearnedPositions(self.sizes, width),
            block=block,
        )
        self.head = build_head(self.actions, width, config.soft_labels)

    @property
    def device(self) -> torch.device:
        """Tell where the policy is."""
        return self.head.bias.device

    # ---- Tokens

    def state_tokens(
        self, source: Trajectory | Observation
    ) -> tuple[Float[Tensor, "*batch M D"], Bool[Tensor, "*batch M"]]:
        """Give the tokens of states, and which of them are real."""
        tokens, valid = self.states(source)
        if self.one_state is None:
            return tokens, valid
        return self.one_state(tokens, valid), valid.new_ones((*valid.shape[:-1], 1))

    def action_tokens(self, actions: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch N D"]:
        """Give the tokens of actions."""
        tokens = self.actions(actions)
        return tokens if self.one_action is None else self.one_action(tokens)

    def reference(self, source: Trajectory | Observation) -> Float[Tensor, "*batch n"] | None:
        """Give what actions are measured from; None where they are as they are."""
        del source
        return None

    # ---- Training: the whole sequence

    def lay_out(
        self,
        trajectory: Trajectory,
        *,
        actions: int,
        states: tuple[Float[Tensor, "B T M D"], Bool[Tensor, "B T M"]] | None = None,
        prompts: tuple[Float[Tensor, "P L D"], Bool[Tensor, "P L"], Int[Tensor, " B"]] | None = None,
        slots: Int[Tensor, " asked"] | None = None,
        queries: Float[Tensor, "Q D"] | None = None,
    ) -> ModelInputs:
        """Lay out prompt, context, queries and mask, as the trunk takes them.

        Args:
            trajectory: B trajectories of T timesteps.
            actions: Timesteps whose action is in the context: T or T - 1, or 0 where none is ever read.
            states: What `state_tokens` gives, where the caller has it already; None: it is made here.
            prompts: What `prompt_of` gives, likewise.
            slots: Slots of the queries that are asked at each timestep; None: no query is asked.
            queries: All queries of a timestep, without their positions.
        """
        (B, T), M, device = trajectory.valid.shape, self.sizes.state, trajectory.valid.device
        N = self.sizes.action if actions else 0
        prompt, prompt_valid, of = self.prompt_of(trajectory) if prompts is None else prompts
        L = prompt.shape[1]
        slots = torch.arange(0, device=device) if slots is None else slots
        num_queries = 0 if queries is None else len(queries)
        limits = dict(window=self.config.window, causal_segments=self.causal_segments)
        shape = (L, M, self.sizes.action, T, num_queries)
        rows, columns, allowed = split_mask(*shape, actions=actions, **limits)
        row_blocks = row_blocks_of(*shape, actions=actions, asked=len(slots), **limits)
        rows, columns, allowed = rows.to(device), columns.to(device), allowed.to(device)
        C = len(columns.kind) - L
        if num_queries:  # the rows of the queries that are asked
            asked = C + num_queries * torch.arange(T, device=device)[:, None] + slots
            kept = torch.cat([torch.arange(C, device=device), asked.flatten()])
            rows, allowed = rows.select(kept), allowed[kept]

        executed, reference = trajectory.actions[:, :T], self.reference(trajectory)
        action_tokens = self.action_tokens(executed if reference is None else executed - reference)[:, :, :N]
        state_tokens, seen = self.state_tokens(trajectory) if states is None else states
        state_valid = trajectory.valid[:, :, None] & seen
        action_valid = trajectory.action_valid[:, :T, None].expand(B, T, N)
        valid = torch.cat([prompt_valid[of], interleave(state_valid, action_valid)[:, :C]], dim=1)
        context = self.place(interleave(state_tokens, action_tokens)[:, :C], rows.select(slice(0, C)))
        asked = context.new_zeros(0, context.shape[-1]) if queries is None else queries[slots]
        placed = self.place(asked.repeat(T, 1), rows.select(slice(C, None))).expand(B, -1, -1)

        shared = self.shared_prompt(prompt, prompt_valid, of)
        allowed = allowed[None] if valid.all() else allowed & valid[:, None, :]
        inputs = (shared, context, placed, self.mask(allowed, rows, columns))
        return ModelInputs(inputs=inputs, rows=rows, columns=columns, row_blocks=row_blocks)

    def read(self, laid_out: ModelInputs, *, context_out: bool) -> Float[Tensor, "B R D"]:
        """Run the trunk: give the outputs of the queries, or of context and queries."""
        return self.transformer(*laid_out.inputs, context_out=context_out, row_blocks=laid_out.row_blocks)

    def prompt_of(self, trajectory: Trajectory) -> tuple[Float[Tensor, "P L D"], Bool[Tensor, "P L"], Tensor]:
        """Give the distinct prompts of a batch, which tokens are real, and which prompt each trajectory has."""
        first, number = trajectory.distinct_prompts()
        pictures = None if trajectory.pictures is None else trajectory.pictures[first]
        instructions = tuple(trajectory.instructions[row] for row in first)
        prompt, valid = self.language(instructions, pictures, self.states.objects)
        return prompt, valid, torch.tensor(number, device=trajectory.valid.device)

    def shared_prompt(self, prompt: Float[Tensor, "P L D"], valid: Bool[Tensor, "P L"], of: Tensor) -> SharedPrompt:
        """Place the prompts, and let each read itself alone."""
        ids = segment_ids(Kind.PROMPT, prompt.shape[1]).to(prompt.device)
        allowed = masks.may_attend(ids, ids, window=self.config.window, causal_segments=self.causal_segments)
        allowed = allowed & valid[:, None, :]
        return SharedPrompt(self.place(prompt, ids), self.mask(allowed, ids, ids), of)

    def mask(self, allowed: Bool[Tensor, "B2 _ C"], rows: TokenIds, columns: TokenIds) -> Float[Tensor, "B2 H2 _ C"]:
        """Turn who may attend to whom into what is added to attention scores."""
        mask = additive(allowed, self.head.bias.dtype)[:, None]
        return mask if self.relative is None else mask + self.relative.bias(rows, columns)

    def place(self, tokens: Float[Tensor, "*B S D"], ids: TokenIds) -> Float[Tensor, "*B S D"]:
        """Add its position to each token."""
        positions = self.relative if self.relative is not None else self.transformer.positions
        assert positions is not None
        return tokens + positions(ids)

    # ---- Acting: step by step, with a cache

    def read_prompts(self, instructions: Sequence[str], pictures: PromptPictures | None) -> SegmentCache:
        """Begin a cache with the prompts."""
        prompt, valid = self.language(instructions, pictures, self.states.objects)
        ids = batched(segment_ids(Kind.PROMPT, prompt.shape[1]).to(self.device), len(instructions))
        cache = SegmentCache.empty(
            self.transformer, self.sizes, len(instructions), self.config.window, self.causal_segments
        )
        cache.read(self.transformer, self.place(prompt, ids), ids, valid, positions=self.relative)
        return cache

    def fresh(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None
    ) -> SequenceState:
        """Begin one rollout per instruction: read the prompts."""
        return SequenceState(
            cache=self.read_prompts(instructions, pictures),
            timestep=torch.zeros(len(instructions), dtype=torch.long, device=self.device),
            generators=[torch.Generator().manual_seed(seed) for seed in seeds],
        )

    def observe(
        self,
        state: SequenceState,
        observation: Observation,
        executed: Float[Tensor, "B n"],
        queries: Float[Tensor, "Q D"] | None = None,
        *,
        context_out: bool = False,
    ) -> tuple[Float[Tensor, "B R D"] | None, Bool[Tensor, "B M"]]:
        """Read the executed action and the new state; give outputs, and which tokens of the state are real.

        Args:
            state: Written into; its timestep stays, for whoever goes on reading at it.
            observation: What is seen now.
            executed: The action executed before, as its tokens are made.
            queries: Asked at the new state; their outputs come out.
            context_out: Whether the outputs of the action's and the state's tokens come out too, before those of
                queries.
        """
        t, N, M = state.timestep[:, None], self.sizes.action, self.sizes.state
        B, device = len(t), t.device
        tokens, seen = self.state_tokens(observation)
        ids = concatenate(
            batched(segment_ids(Kind.ACTION, N).to(device), B, t - 1),
            batched(segment_ids(Kind.STATE, M).to(device), B, t),
        )
        valid = torch.cat([(t > 0).expand(B, N), seen], dim=1)
        new = self.place(torch.cat([self.action_tokens(executed), tokens], dim=1), ids)
        placed = of_queries = None
        if queries is not None:
            of_queries = batched(segment_ids(Kind.QUERY, len(queries)).to(device), B, t)
            placed = self.place(queries.expand(B, -1, -1), of_queries)
        outputs = state.cache.read(
            self.transformer, new, ids, valid, placed, of_queries, self.relative, context_out=context_out
        )
        return outputs, seen


class PlainSequencePolicy(SequencePolicy[SequenceState]):
    """A policy that remembers nothing but what it has read."""

    @torch.no_grad()
    def start(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None = None
    ) -> SequenceState:
        """Begin one rollout per instruction: read the prompts."""
        return self.fresh(instructions, seeds, pictures)

    @torch.no_grad()
    def reset(
        self,
        state: SequenceState,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None = None,
    ) -> SequenceState:
        """Begin anew in some slots."""
        reset_envs(state, where, self.fresh(instructions, seeds, pictures))
        return state


def reset_envs(state: SequenceState, where: Bool[Tensor, " B"], fresh: SequenceState) -> None:
    """Put the rollouts of a fresh state, in order, in place of those marked."""
    state.cache.replace(where, fresh.cache)
    state.timestep[where] = 0
    for slot, generator in zip(where.nonzero()[:, 0].tolist(), fresh.generators, strict=True):
        state.generators[slot] = generator


def batched(ids: TokenIds, B: int, timestep: Int[Tensor, "B 1"] | None = None) -> TokenIds:
    """Repeat the ids of a segment for B slots, each at a timestep of its own."""
    at = ids.timestep.expand(B, -1) if timestep is None else timestep.expand(B, ids.kind.shape[-1])
    return TokenIds(ids.kind.expand(B, -1), at, ids.slot.expand(B, -1))
