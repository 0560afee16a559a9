"""Shared parts of the policies with cross-attention to the prompt: VIMA and Flamingo.

    prompt    p1 p2 p3 ---------------------+
                                            v in every layer
    context   s1 s2 | a | s1 s2 | a | ...   causal
                 |           |
                 v           v
                 a           a              all dimensions at once, from the output at the last real state token

They differ in the tokens of a state (all of them, or a few latents that attend to them) and in gates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from astra.attention.cross_transformer import CrossAttentionTransformer, CrossCache, PromptKeys, self_mask
from astra.attention.masks import ALL_SEGMENTS, split_mask
from astra.attention.positions import LearnedPositions, Positions, SegmentSizes, relative_positions
from astra.attention.segments import Kind, TokenIds, concatenate, interleave, segment_ids, split
from astra.attention.step_checks import check_cross_attention
from astra.augmentation.past_actions import hidden_past_actions
from astra.objects import PromptPictures
from astra.policies.action_heads import build_head, one_action_loss
from astra.policies.decoding import Rollouts, reset_generators, seeded_generators
from astra.policies.policy import Losses, Policy
from astra.policies.readout import last_real
from astra.policies.sequence import SequenceConfig
from astra.policies.sequence_rollout import batched
from astra.storage.numbers import Layers
from astra.tokenizers.merged import MergedTokens
from astra.tokenizers.resampler import Resampler
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec

CONTEXT_POSITIONS, PROMPT_POSITIONS = 512, 256
"""Sizes of VIMA's position tables; they give the printed parameter counts."""


@dataclass(frozen=True, kw_only=True)
class CrossAttentionConfig(SequenceConfig):
    """Size and options of a policy with cross-attention to the prompt."""

    layers: Layers = 2
    """Number of layers; each has cross-attention to the prompt and self-attention, with a feed-forward after both."""
    positions: Positions = "relative"
    """Learned tables of 512 positions for the context and 256 for the prompt (the paper's parameter counts); or biases
    of ages in timesteps (for windows and long episodes), shared by all layers and 0 at first (relative), or in each
    layer and falling with age at first (recency)."""


@dataclass(kw_only=True)
class CrossAttentionState(Rollouts):
    """State of B rollouts; `act` updates it in place and returns it."""

    cache: CrossCache
    timestep: Int[Tensor, " B"]
    """Next timestep of each environment."""


class CrossAttentionPolicy(Policy[CrossAttentionState]):
    """Causal attention over state tokens and one token per action, with cross-attention to the prompt."""

    def __init__(
        self,
        config: CrossAttentionConfig,
        spec: TrajectorySpec,
        statistics: Statistics,
        *,
        latents: int | None = None,
        resampler_layers: int = 1,
        gates: bool = False,
    ) -> None:
        """Build tokenizers, trunk and head.

        Args:
            config: Size and options.
            spec: Observations and actions of the policy.
            statistics: Statistics that normalize observations and actions.
            latents: Tokens of a state after a resampler; None keeps the state's own tokens.
            resampler_layers: Layers of the resampler.
            gates: Whether cross-attention passes through tanh gates.

        Raises:
            ValueError: if options contradict each other.
        """
        super().__init__()
        config.check_positions()
        self.config, self.spec, self.statistics = config, spec, statistics
        self.decode_with(config.decoding)
        width, N = config.width, len(spec.actions)
        self.language = config.language.build(spec, statistics, width)
        self.states = config.states.build(spec, statistics, width)
        self.actions = config.actions.build(spec, statistics, width)
        self.one_action = MergedTokens(N, width)
        self.resampler = None
        if latents is not None:
            self.resampler = Resampler(
                num_tokens=self.states.num_tokens,
                latents=latents,
                layers=resampler_layers,
                heads=config.heads,
                width=width,
                dropout=config.dropout,
            )
        M = latents or self.states.num_tokens
        self.sizes = SegmentSizes(prompt=self.language.max_tokens, state=M, action=1)
        self.relative = relative_positions(
            config.positions, self.sizes, width=width, heads=config.heads, layers=config.layers
        )
        positions = prompt_positions = None
        if self.relative is None:
            positions = LearnedPositions(SegmentSizes(prompt=0, state=M, action=1), width, CONTEXT_POSITIONS)
            prompt_positions = LearnedPositions(self.sizes, width, PROMPT_POSITIONS)
        self.transformer = CrossAttentionTransformer(
            layers=config.layers,
            heads=config.heads,
            width=width,
            dropout=config.dropout,
            gates=gates,
            positions=positions,
            prompt_positions=prompt_positions,
        )
        self.head = build_head(self.actions, width, config.soft_labels)

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Check that all instructions are short enough.

        Raises:
            ValueError: if one has more than `language.max_tokens` tokens.
        """
        self.language.check_lengths(instructions)

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
        if self.resampler is None:
            return tokens, valid
        latents = self.resampler(tokens, valid)
        return latents, valid.new_ones(latents.shape[:-1])

    def prompt_keys(
        self, instructions: Sequence[str], pictures: PromptPictures | None, index: Int[Tensor, " B"] | None = None
    ) -> PromptKeys:
        """Compute the keys and values of prompts, for the prompt `index` of each trajectory (None: one prompt each)."""
        prompt, valid = self.language(instructions, pictures, self.states.objects)
        ids = segment_ids(Kind.PROMPT, prompt.shape[1]).to(prompt.device)
        positions = self.relative if self.relative is not None else self.transformer.prompt_positions
        assert positions is not None
        return self.transformer.read_prompts(prompt + positions(ids), valid, index)

    def add_positions(self, tokens: Float[Tensor, "*B S D"], ids: TokenIds) -> Float[Tensor, "*B S D"]:
        """Add the position of each token of the context."""
        positions = self.relative if self.relative is not None else self.transformer.positions
        assert positions is not None
        return tokens + positions(ids)

    # ---- Training: the whole context

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1 and the accuracy."""
        return one_action_loss(self.head, self.predictions(trajectory), trajectory)

    def predictions(self, trajectory: Trajectory) -> Float[Tensor, "B T N K"]:
        """Return the head's outputs for all timesteps."""
        T, M, device = trajectory.num_timesteps, self.sizes.state, trajectory.valid.device
        first, number = trajectory.distinct_prompts()
        pictures = None if trajectory.pictures is None else trajectory.pictures[first]
        instructions = [trajectory.instructions[row] for row in first]
        prompt = self.prompt_keys(instructions, pictures, torch.tensor(number, device=device))

        states, seen = self.state_tokens(trajectory)
        actions = self.one_action(self.actions(trajectory.actions[:, :T]))
        # Nothing comes after the last action, so nothing attends to it.
        context = interleave(states, actions)[:, :-1]
        state_valid, action_valid = seen & trajectory.valid[..., None], trajectory.action_valid[:, :T, None]
        valid = interleave(state_valid, action_valid)[:, :-1]
        window, L = self.config.window, prompt.mask.shape[-1]
        ids = split_mask(0, M, 1, T, 0, window=window, actions=T - 1, causal_segments=ALL_SEGMENTS)[0].to(device)
        check_cross_attention(SegmentSizes(prompt=L, state=M, action=1), window, ALL_SEGMENTS, T)
        valid = valid[:1] if valid.all() else valid
        hidden = hidden_past_actions(self.config.drop_past_actions, trajectory.valid, training=self.training)
        hidden = None if hidden is None else hidden[:, ids.timestep]
        mask = self_mask(ids, ids, valid, self.config.window, self.relative, context.dtype, hidden)
        outputs = self.transformer(prompt, self.add_positions(context, ids), mask)

        outputs = torch.cat([outputs, outputs.new_zeros(len(outputs), 1, outputs.shape[2])], dim=1)
        return self._apply_head(last_real(split(outputs, M, 1)[0], seen))

    def _apply_head(self, outputs: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch N K"]:
        """Apply the heads of all action dimensions to the same output."""
        N = len(self.spec.actions)
        return self.head(outputs[..., None, :].expand(*outputs.shape[:-1], N, outputs.shape[-1]))

    # ---- Acting: step by step, with a cache

    def start_rollouts(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None
    ) -> CrossAttentionState:
        """Start one rollout per instruction: encode the prompts."""
        return CrossAttentionState(
            cache=CrossCache.of(
                self.prompt_keys(instructions, pictures),
                self.config.window,
                past_actions=self.config.drop_past_actions < 1,
            ),
            timestep=torch.zeros(len(instructions), dtype=torch.long, device=self.device),
            generators=seeded_generators(seeds),
        )

    def restart_rollouts(
        self,
        state: CrossAttentionState,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None,
    ) -> CrossAttentionState:
        """Start new rollouts in some environments."""
        state.cache.replace(where, self.prompt_keys(instructions, pictures))
        state.timestep[where] = 0
        reset_generators(state.generators, where, seeds)
        return state

    def choose_action(
        self, state: CrossAttentionState, observation: Observation
    ) -> tuple[Float[Tensor, "B N"], CrossAttentionState]:
        """Append the executed action and the new state to the history, and return the next action."""
        t, M = state.timestep[:, None], self.sizes.state
        B, device = len(t), t.device
        states, seen = self.state_tokens(observation)
        action = self.one_action(self.actions(observation.previous_action))
        ids = concatenate(
            batched(segment_ids(Kind.ACTION, 1).to(device), B, t - 1),
            batched(segment_ids(Kind.STATE, M).to(device), B, t),
        )
        tokens = self.add_positions(torch.cat([action, states], dim=1), ids)
        outputs = state.cache.extend(self.transformer, tokens, ids, torch.cat([t > 0, seen], dim=1), self.relative)
        predicted = self._apply_head(last_real(outputs[:, 1:], seen))
        state.timestep += 1
        return self.head.decode(predicted[:, None], self.decoding, state.generators)[:, 0], state
