"""What policies share that read the prompt by cross-attention: VIMA and Flamingo.

    prompt    p1 p2 p3 ---------------------+
                                            v in every layer
    context   s1 s2 | a | s1 s2 | a | ...   causal
                 |           |
                 v           v
                 a           a              all dimensions at once, from the output at the last real state token

They differ in the tokens of a state, all of them or a few latents that have read them, and in gates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from astra.attention.cross_transformer import CrossAttentionTransformer, CrossCache, PromptKeys, self_mask
from astra.attention.masks import ALL_SEGMENTS, split_mask
from astra.attention.positions import LearnedPositions, RelativePositions, SegmentSizes
from astra.attention.segments import Kind, TokenIds, concatenate, interleave, segment_ids, split
from astra.attention.step_checks import check_cross_attention
from astra.objects import PromptPictures
from astra.policies.action_heads import behavior_cloning, build_head
from astra.policies.policy import Losses, Policy
from astra.policies.readout import last_real
from astra.policies.sequence import SequenceConfig, batched
from astra.tokenizers.merged import MergedTokens
from astra.tokenizers.resampler import Resampler
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec

CONTEXT_POSITIONS, PROMPT_POSITIONS = 512, 256
"""Places in VIMA's tables; with them the printed parameter counts come out."""


@dataclass(frozen=True, kw_only=True)
class CrossAttentionConfig(SequenceConfig):
    """Size and options that all policies have which read their prompt by cross-attention."""

    layers: int = 2
    """Layers, each of cross-attention to the prompt and self-attention, with a feed-forward behind both."""
    positions: Literal["learned", "relative"] = "relative"
    """Tables over 512 places of the context and 256 of the prompt (the paper's counts), or biases over timesteps
    (windows, long episodes)."""


@dataclass
class ReaderState:
    """What B slots of a rollout remember; `act` writes into it and returns it."""

    cache: CrossCache
    timestep: Int[Tensor, " B"]
    """The timestep that comes next, per slot."""
    generators: list[torch.Generator]
    """Each slot's own source of chance."""


class CrossAttentionPolicy(Policy[ReaderState]):
    """A context of state tokens and one token per action, over a prompt that it reads by cross-attention."""

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
        """Make tokenizers, trunk and head.

        Args:
            config: size and options.
            spec: what the policy sees and does.
            statistics: by what it normalizes.
            latents: tokens to which a resampler brings each state; None: a state keeps its own.
            resampler_layers: of that resampler.
            gates: whether the prompt comes in through tanh gates.

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
        relative = config.positions == "relative"
        self.relative = RelativePositions(self.sizes, width, config.heads) if relative else None
        positions = prompt_positions = None
        if not relative:
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

    # ---- Tokens

    def state_tokens(
        self, source: Trajectory | Observation
    ) -> tuple[Float[Tensor, "*batch M D"], Bool[Tensor, "*batch M"]]:
        """Give the tokens of states, and which of them are real."""
        tokens, valid = self.states(source)
        if self.resampler is None:
            return tokens, valid
        latents = self.resampler(tokens, valid)
        return latents, valid.new_ones(latents.shape[:-1])

    def read_prompts(
        self, instructions: Sequence[str], pictures: PromptPictures | None, of: Int[Tensor, " B"] | None = None
    ) -> PromptKeys:
        """Make the keys and values of prompts, and give each trajectory those of its own (`of`; None: in order)."""
        prompt, valid = self.language(instructions, pictures, self.states.objects)
        ids = segment_ids(Kind.PROMPT, prompt.shape[1]).to(prompt.device)
        positions = self.relative if self.relative is not None else self.transformer.prompt_positions
        assert positions is not None
        return self.transformer.read_prompts(prompt + positions(ids), valid, of)

    def place(self, tokens: Float[Tensor, "*B S D"], ids: TokenIds) -> Float[Tensor, "*B S D"]:
        """Add its position to each token of a context."""
        positions = self.relative if self.relative is not None else self.transformer.positions
        assert positions is not None
        return tokens + positions(ids)

    # ---- Training: the whole context

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1 and the share of actions predicted right."""
        T = trajectory.num_timesteps
        valid = trajectory.action_valid[:, :T] & trajectory.valid
        return behavior_cloning(self.head, self.predictions(trajectory), trajectory.actions[:, :T], valid)

    def predictions(self, trajectory: Trajectory) -> Float[Tensor, "B T N K"]:
        """Give the head's outputs for all timesteps."""
        T, M, device = trajectory.num_timesteps, self.sizes.state, trajectory.valid.device
        first, number = trajectory.distinct_prompts()
        pictures = None if trajectory.pictures is None else trajectory.pictures[first]
        instructions = [trajectory.instructions[row] for row in first]
        prompt = self.read_prompts(instructions, pictures, torch.tensor(number, device=device))

        states, seen = self.state_tokens(trajectory)
        actions = self.one_action(self.actions(trajectory.actions[:, :T]))
        # Nothing comes after the last action, so nobody reads it.
        context = interleave(states, actions)[:, :-1]
        state_valid, action_valid = seen & trajectory.valid[..., None], trajectory.action_valid[:, :T, None]
        valid = interleave(state_valid, action_valid)[:, :-1]
        window, L = self.config.window, prompt.mask.shape[-1]
        ids = split_mask(0, M, 1, T, 0, window=window, actions=T - 1, causal_segments=ALL_SEGMENTS)[0].to(device)
        check_cross_attention(SegmentSizes(prompt=L, state=M, action=1), window, ALL_SEGMENTS, T)
        valid = valid[:1] if valid.all() else valid
        mask = self_mask(ids, ids, valid, self.config.window, self.relative, context.dtype)
        outputs = self.transformer(prompt, self.place(context, ids), mask)

        outputs = torch.cat([outputs, outputs.new_zeros(len(outputs), 1, outputs.shape[2])], dim=1)
        return self._scores(last_real(split(outputs, M, 1)[0], seen))

    def _scores(self, outputs: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch N K"]:
        """Apply the heads of all dimensions to one output."""
        N = len(self.spec.actions)
        return self.head(outputs[..., None, :].expand(*outputs.shape[:-1], N, outputs.shape[-1]))

    # ---- Acting: step by step, with a cache

    @torch.no_grad()
    def start(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None = None
    ) -> ReaderState:
        """Begin one rollout per instruction: read the prompts."""
        return ReaderState(
            cache=CrossCache.of(self.read_prompts(instructions, pictures), self.config.window),
            timestep=torch.zeros(len(instructions), dtype=torch.long, device=self.head.weight.device),
            generators=[torch.Generator().manual_seed(seed) for seed in seeds],
        )

    @torch.no_grad()
    def reset(
        self,
        state: ReaderState,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None = None,
    ) -> ReaderState:
        """Begin anew in some slots."""
        state.cache.replace(where, self.read_prompts(instructions, pictures))
        state.timestep[where] = 0
        for slot, seed in zip(where.nonzero()[:, 0].tolist(), seeds, strict=True):
            state.generators[slot] = torch.Generator().manual_seed(seed)
        return state

    @torch.no_grad()
    def act(self, state: ReaderState, observation: Observation) -> tuple[Float[Tensor, "B N"], ReaderState]:
        """Read the executed action and the new state, and choose the next action."""
        t, M = state.timestep[:, None], self.sizes.state
        B, device = len(t), t.device
        states, seen = self.state_tokens(observation)
        action = self.one_action(self.actions(observation.previous_action))
        ids = concatenate(
            batched(segment_ids(Kind.ACTION, 1).to(device), B, t - 1),
            batched(segment_ids(Kind.STATE, M).to(device), B, t),
        )
        tokens = self.place(torch.cat([action, states], dim=1), ids)
        outputs = state.cache.read(self.transformer, tokens, ids, torch.cat([t > 0, seen], dim=1), self.relative)
        predicted = self._scores(last_real(outputs[:, 1:], seen))
        state.timestep += 1
        return self.head.decode(predicted[:, None], self.decoding.temperature, state.generators)[:, 0], state
