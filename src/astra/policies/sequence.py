"""Shared parts of policies over one token sequence: prompt, states and actions in one transformer.

    p1 p2 p3 | s1 s2 | a1 a2 a3 | s1 s2 | a1 a2 a3 | ...
               t = 1              t = 2

The policies differ in the direction of attention inside segments, in the number of tokens of a state and an action,
and in the token whose output predicts the next action: action queries (Astra), the last state token and each action
token before (Gato), or the state token alone (Decision Transformer).

A batch of whole trajectories becomes the input of the trunk in three steps: `tokenize`, `attention_mask` and
`model_inputs`. `sequence_rollout` feeds one timestep after the other to a cache, with the same result.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention import masks
from astra.attention.inputs import ModelInputs, PromptTokens, SequenceMask, SequenceTokens
from astra.attention.kernels.row_blocks import row_blocks_of
from astra.attention.masks import additive, split_mask
from astra.attention.positions import LearnedPositions, Positions, SegmentSizes, relative_positions
from astra.attention.segments import Kind, TokenIds, interleave, segment_ids, split
from astra.attention.transformer import SharedPrompt, Transformer, TrunkBlock
from astra.augmentation.past_actions import hidden_past_actions
from astra.objects import PromptPictures
from astra.policies.action_chunks import reference_of, relative_to, within_bounds
from astra.policies.action_heads import build_head
from astra.policies.decoding import Decoding
from astra.policies.policy import Policy, PolicyConfig, State, TrajectoryEncoder
from astra.storage.numbers import Layers, NotNegative, Share, Tokens, WholeShare, Width, check_numbers
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.merged import MergedTokens
from astra.tokenizers.relative_actions import relative_action_spec
from astra.tokenizers.states import StateConfig
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class SequenceConfig(PolicyConfig):
    """Size and options of a policy over one sequence."""

    layers: Layers = 4
    """Number of transformer blocks."""
    heads: Tokens = 4
    """H, number of attention heads."""
    width: Width = 192
    """D, width of a token."""
    positions: Positions = "relative"
    """Learned table of 1,024 positions (the paper's parameter counts); or biases of ages in timesteps (for windows and
    long episodes), shared by all layers and 0 at first (relative), or in each layer and falling with age at first
    (recency)."""
    window: Tokens | None = None
    """W, timesteps to which a token attends, its own included; None for the whole history."""
    drop_past_actions: WholeShare = 0.0
    """Probability that the past actions of a training window are hidden; when the policy acts, it reads them. 0: always
    read; 1: never, neither in training nor when acting. Contrastive dynamics learning reads all actions. Deviation: the
    paper always reads them."""
    dropout: Share = 0.0
    """Probability of dropping an activation in training."""
    soft_labels: NotNegative = 0.0
    """Standard deviation, in bins, of the Gaussian that smooths discrete action labels; 0 for hard labels, those of the
    paper. Deviation: neighboring bins are nearly the same action."""
    language: LanguageConfig = field(default_factory=LanguageConfig)
    """Tokenizer of prompts."""
    states: StateConfig = field(default_factory=StateConfig)
    """Tokenizer of state vectors, camera frames and objects."""
    actions: DiscreteActionsConfig | ContinuousActionsConfig = field(default_factory=DiscreteActionsConfig)
    """Tokenizer of actions; it also decides what the policy predicts."""
    decoding: Decoding = field(default_factory=Decoding)
    """How the policy acts."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range, or the heads do not divide the width; the message names the field.
        """
        check_numbers(self, "policy")
        if self.width % self.heads:
            raise ValueError(f"policy.width must be a multiple of policy.heads={self.heads}, got {self.width}")

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width in pixels to which camera frames are resized."""
        return self.states.frame_size

    def check_positions(self) -> None:
        """Check that positions fit the window.

        Raises:
            ValueError: if a window has learned positions.
        """
        if self.window is not None and self.positions == "learned":
            raise ValueError(
                f"a window needs positions='relative' or 'recency', not 'learned'; got window={self.window}"
            )


class SequencePolicy(Policy[State], TrajectoryEncoder):
    """Tokenizers, positions, trunk and head of a policy over one sequence."""

    def __init__(
        self,
        config: SequenceConfig,
        spec: TrajectorySpec,
        statistics: Statistics,
        *,
        causal_segments: Collection[Kind] = (),
        merge_states: bool = False,
        merge_actions: bool = False,
        block: TrunkBlock = "gpt2",
    ) -> None:
        """Build tokenizers, trunk and head.

        Args:
            config: Size and options.
            spec: Observations and actions of the policy.
            statistics: Statistics that normalize observations and actions.
            causal_segments: Kinds of segments inside which a token attends only to itself and earlier tokens.
            merge_states: Whether all tokens of a state are merged into one.
            merge_actions: Whether all tokens of an action are merged into one.
            block: Kind of transformer block.

        Raises:
            ValueError: if options contradict each other.
        """
        super().__init__()
        config.check_positions()
        self.config, self.spec, self.statistics = config, spec, statistics
        self.decode_with(config.decoding)
        self.causal_segments = frozenset(causal_segments)
        width, N = config.width, len(spec.actions)
        action_space = spec, statistics
        if config.reference_state is not None:
            action_space = relative_action_spec(config.reference_state, spec, statistics)
        self.action_statistics = action_space[1].actions
        self.language = config.language.build(spec, statistics, width)
        self.states = config.states.build(spec, statistics, width)
        self.actions = config.actions.build(*action_space, width)
        self.one_state = MergedTokens(self.states.num_tokens, width) if merge_states else None
        self.one_action = MergedTokens(N, width) if merge_actions else None
        self.sizes = SegmentSizes(
            prompt=self.language.max_tokens,
            state=1 if merge_states else self.states.num_tokens,
            action=1 if merge_actions else N,
        )
        self.relative = relative_positions(
            config.positions, self.sizes, width=width, heads=config.heads, layers=config.layers
        )
        self.transformer = Transformer(
            layers=config.layers,
            heads=config.heads,
            width=width,
            dropout=config.dropout,
            positions=LearnedPositions(self.sizes, width) if self.relative is None else None,
            block=block,
        )
        self.head = build_head(self.actions, width, config.soft_labels)

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Check that all instructions are short enough.

        Raises:
            ValueError: if one has more than `language.max_tokens` tokens.
        """
        self.language.check_lengths(instructions)

    @property
    def width(self) -> int:
        """D, width of a token."""
        return self.config.width

    @property
    def trunk(self) -> nn.Module:
        """The transformer, whose parameters the paper counts."""
        return self.transformer

    # ---- Tokens

    def state_tokens(
        self, source: Trajectory | Observation
    ) -> tuple[Float[Tensor, "*batch M D"], Bool[Tensor, "*batch M"]]:
        """Return the tokens of states and which of them are real."""
        tokens, valid = self.states(source)
        if self.one_state is None:
            return tokens, valid
        return self.one_state(tokens, valid), valid.new_ones((*valid.shape[:-1], 1))

    def action_tokens(self, actions: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch N D"]:
        """Return the tokens of actions."""
        tokens = self.actions(actions)
        return tokens if self.one_action is None else self.one_action(tokens)

    def prompt_tokens(
        self, instructions: Sequence[str], pictures: PromptPictures | None
    ) -> tuple[Float[Tensor, "P L D"], Bool[Tensor, "P L"]]:
        """Return the tokens of prompts and which of them are real."""
        return self.language(instructions, pictures, self.states.objects)

    def distinct_prompts(self, trajectory: Trajectory) -> PromptTokens:
        """Return the tokens of the distinct prompts of a batch."""
        first, number = trajectory.distinct_prompts()
        pictures = None if trajectory.pictures is None else trajectory.pictures[first]
        tokens, valid = self.prompt_tokens(tuple(trajectory.instructions[row] for row in first), pictures)
        return PromptTokens(tokens=tokens, valid=valid, index=torch.tensor(number, device=trajectory.valid.device))

    # ---- Relative actions

    def reference(self, source: Trajectory | Observation) -> Float[Tensor, "*batch n"] | None:
        """Return the reference state of relative actions, or None for absolute ones."""
        return reference_of(source, self.config.reference_state, self.spec.actions)

    def within_bounds(self, actions: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """Bring absolute actions into the bounds of the data."""
        return within_bounds(actions, self.spec.actions)

    # ---- Past actions

    def num_past_actions(self, T: int) -> int:
        """Return the timesteps whose action is in the context of T timesteps, if no action segment is predicted there.

        The last action comes after all queries; a window of one timestep holds no past action, and some policies never
        read them.
        """
        return 0 if self.config.window == 1 or self.config.drop_past_actions == 1 else T - 1

    def hidden_actions(self, trajectory: Trajectory) -> Bool[Tensor, "B2 T"] | None:
        """Return which past actions are hidden when actions are predicted; None for none."""
        return hidden_past_actions(self.config.drop_past_actions, trajectory.valid, training=self.training)

    # ---- Training: the whole sequence in three steps

    def tokenize(
        self,
        trajectory: Trajectory,
        *,
        num_actions: int,
        states: tuple[Float[Tensor, "B T M D"], Bool[Tensor, "B T M"]] | None = None,
        prompts: PromptTokens | None = None,
        queries: Float[Tensor, "Q D"] | None = None,
        query_slots: Int[Tensor, " computed"] | None = None,
        query_timesteps: Int[Tensor, " B"] | None = None,
    ) -> SequenceTokens:
        """Step 1: Compute the tokens of prompts and context.

        Args:
            trajectory: B trajectories of T timesteps.
            num_actions: Timesteps whose action is in the context: T or T - 1, or 0 if nothing attends to actions.
            states: Result of `state_tokens`, if the caller has it already.
            prompts: Result of `distinct_prompts`, if the caller has it already.
            queries: All action queries of one timestep; None for none.
            query_slots: Those that are computed, by their place in the segment; None for all.
            query_timesteps: Timestep of each trajectory whose queries are computed; None for all timesteps.
        """
        (B, T), device = trajectory.valid.shape, trajectory.valid.device
        N = self.sizes.action if num_actions else 0
        prompts = self.distinct_prompts(trajectory) if prompts is None else prompts
        executed, reference = trajectory.actions[:, :T], self.reference(trajectory)
        if reference is not None:
            executed = relative_to(reference, executed, self.spec.actions)
        action_tokens = self.action_tokens(executed)[:, :, :N]
        state_tokens, seen = self.state_tokens(trajectory) if states is None else states
        state_valid = trajectory.valid[:, :, None] & seen
        action_valid = trajectory.action_valid[:, :T, None].expand(B, T, N)
        if trajectory.action_present is not None and N:
            action_valid = action_valid & trajectory.action_present[:, None]
        length = T * self.sizes.state + num_actions * N
        context = interleave(state_tokens, action_tokens)[:, :length]
        queries = context.new_zeros(0, context.shape[-1]) if queries is None else queries
        query_slots = torch.arange(len(queries), device=device) if query_slots is None else query_slots
        return SequenceTokens(
            prompts=prompts,
            context=context,
            context_valid=interleave(state_valid, action_valid)[:, :length],
            queries=queries[query_slots],
            query_slots=query_slots,
            query_timesteps=query_timesteps,
            num_queries=len(queries),
            num_timesteps=T,
            num_actions=num_actions,
        )

    def attention_mask(
        self, tokens: SequenceTokens, hidden_actions: Bool[Tensor, "B2 T"] | None = None
    ) -> SequenceMask:
        """Step 2: Decide which tokens may attend to which; hidden actions are hidden from later segments."""
        T, L, C = tokens.num_timesteps, tokens.prompts.tokens.shape[1], tokens.context.shape[1]
        Q, device = tokens.num_queries, tokens.context.device
        shape = (L, self.sizes.state, self.sizes.action, T, Q)
        actions, window, causal = tokens.num_actions, self.config.window, self.causal_segments
        past = actions > 0 or self.config.drop_past_actions < 1
        rows, columns, allowed = split_mask(
            *shape, actions=actions, window=window, causal_segments=causal, past_actions=past
        )
        rows, columns, allowed = rows.to(device), columns.to(device), allowed.to(device)
        blocks = ()
        if Q:  # only the rows of the queries that are computed
            kept = tokens.computed_rows(C)
            rows, allowed = rows.select(kept), allowed[kept]
        if tokens.query_timesteps is None:
            asked = len(tokens.query_slots)
            blocks = row_blocks_of(
                *shape, actions=actions, window=window, causal_segments=causal, past_actions=past, asked=asked
            )
        valid = torch.cat([tokens.prompts.valid[tokens.prompts.index], tokens.context_valid], dim=1)
        allowed = allowed if allowed.ndim == 3 else allowed[None]
        allowed = allowed if valid.all() else allowed & valid[:, None, :]
        if hidden_actions is not None and actions:
            hidden = hidden_actions[:, columns.timestep.clamp(min=0)]
            allowed = masks.hide_actions(allowed, rows, columns, hidden)
        return SequenceMask(
            rows=rows,
            columns=columns,
            allowed=allowed,
            row_blocks=blocks,
        )

    def model_inputs(self, tokens: SequenceTokens, mask: SequenceMask) -> ModelInputs:
        """Step 3: Add positions to tokens and mask, and let each distinct prompt attend to itself."""
        B, C = tokens.context_valid.shape
        context = self.add_positions(tokens.context, mask.columns.select(slice(-C, None)))
        all_timesteps = tokens.query_timesteps is None
        queries = tokens.queries.repeat(tokens.num_timesteps, 1) if all_timesteps else tokens.queries.expand(B, -1, -1)
        return ModelInputs(
            context=context,
            queries=self.add_positions(queries, mask.rows.select(slice(C, None))).expand(B, -1, -1),
            prompt=self.shared_prompt(tokens.prompts),
            mask=self.additive_mask(mask.allowed, mask.rows, mask.columns),
            rows=mask.rows,
            columns=mask.columns,
            row_blocks=mask.row_blocks,
        )

    def shared_prompt(self, prompts: PromptTokens) -> SharedPrompt:
        """Add positions to prompts, each of which attends only to itself."""
        ids = segment_ids(Kind.PROMPT, prompts.tokens.shape[1]).to(prompts.tokens.device)
        allowed = masks.may_attend(ids, ids, window=self.config.window, causal_segments=self.causal_segments)
        allowed = allowed & prompts.valid[:, None, :]
        return SharedPrompt(
            self.add_positions(prompts.tokens, ids), self.additive_mask(allowed, ids, ids), prompts.index
        )

    def additive_mask(
        self, allowed: Bool[Tensor, "B2 _ C"], rows: TokenIds, columns: TokenIds
    ) -> Float[Tensor, "B2 H2 _ C"]:
        """Convert a boolean mask to numbers that are added to attention scores, with relative position biases."""
        mask = additive(allowed, self.head.bias.dtype)[:, None]
        return mask if self.relative is None else mask + self.relative.bias(rows, columns)

    def add_positions(self, tokens: Float[Tensor, "*B S D"], ids: TokenIds) -> Float[Tensor, "*B S D"]:
        """Add the position of each token."""
        positions = self.relative if self.relative is not None else self.transformer.positions
        assert positions is not None
        return tokens + positions(ids)

    def run_trunk(self, inputs: ModelInputs, *, context_out: bool) -> Float[Tensor, "B R D"]:
        """Run the trunk and return the outputs of the queries; with `context_out`, those of the context before them."""
        parts = inputs.prompt, inputs.context, inputs.queries, inputs.mask
        return self.transformer(*parts, context_out=context_out, row_blocks=inputs.row_blocks)

    # ---- Encoding whole trajectories, for contrastive dynamics learning

    def trajectory_encoder(self) -> TrajectoryEncoder:
        """Return the policy itself: it encodes whole trajectories."""
        return self

    def encode(
        self,
        trajectory: Trajectory,
        *,
        states: tuple[Float[Tensor, "B T M D"], Bool[Tensor, "B T M"]] | None = None,
        prompts: PromptTokens | None = None,
    ) -> tuple[Float[Tensor, "B T M D"], Float[Tensor, "B T N D"]]:
        """Encode states and actions without queries; outputs at hidden objects have no meaning.

        Args:
            trajectory: The trajectories to encode.
            states: Result of `state_tokens`, if the caller has it already.
            prompts: Prompts of the trajectories, if the caller has them already.

        Source: section 3.3 and Figure 7b.
        """
        tokens = self.tokenize(trajectory, num_actions=trajectory.num_timesteps, states=states, prompts=prompts)
        inputs = self.model_inputs(tokens, self.attention_mask(tokens))
        encoded_states, encoded_actions = split(
            self.run_trunk(inputs, context_out=True), self.sizes.state, self.sizes.action
        )
        return encoded_states, encoded_actions
