"""Diffusion: the trunk of Gato removes the noise of noisy actions, step by step.

    p1 p2 p3 | s1 s2 | x1 x2 x3 | a1 a2 a3 | s1 s2 | x1 x2 x3 | a1 a2 a3 | ...
               t = 1                         t = 2

In training, the noisy tokens x_t of an action stand beside its clean tokens a_t. They attend to the prompt, all states
up to s_t, the clean actions before a_t, and causally to each other; nothing else attends to them. So all timesteps are
trained at once, each at its own denoising step. Acting computes the same: x_t then takes the place of a_t.

Source: appendix A.9 and A.10: "a causal Transformer backbone", trained with DDPM or D3PM (Eq. 3).
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from astra.attention import masks
from astra.attention.assumptions import refuse, refuse_empty_rows
from astra.attention.initialization import init_std
from astra.attention.kernels.row_blocks import RowBlock, cut_rows
from astra.attention.masks import ALL_SEGMENTS
from astra.attention.segments import Kind, TokenIds, interleave, segment_ids, sequence_ids, split
from astra.policies.action_heads import masked_mean
from astra.policies.noise.d3pm import D3PM, Transition
from astra.policies.noise.ddpm import DDPM
from astra.policies.policy import Losses
from astra.policies.sequence import SequenceConfig
from astra.policies.sequence_rollout import OneActionPolicy, SequenceState, append, batched, observe
from astra.storage.numbers import Tokens
from astra.tokenizers.actions import DiscreteActions
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(SequenceConfig):
    """Size and options of a Diffusion: D3PM for discrete actions, DDPM for continuous ones."""

    denoising_steps: Tokens = 100
    """K, steps from an action to pure noise in training."""
    decoding_steps: Tokens | None = None
    """Denoising steps of a sampled action, one pass each; None for all K."""
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """Denoising of continuous actions: with new noise at each step, or without."""
    transition: Transition = "uniform"
    """Replacement of a bin of discrete actions: any bin, or a mask."""

    def __post_init__(self) -> None:
        """Check the numbers of steps.

        Raises:
            ValueError: if there are no steps, or more for decoding than for training.
        """
        super().__post_init__()
        if not 1 <= self.num_decoding_steps <= self.denoising_steps:
            raise ValueError(
                f"decoding_steps must lie between 1 and denoising_steps={self.denoising_steps}, got "
                f"{self.decoding_steps}"
            )

    @property
    def num_decoding_steps(self) -> int:
        """Number of denoising steps of a sampled action."""
        return self.denoising_steps if self.decoding_steps is None else self.decoding_steps

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Diffusion":
        """Build the policy with new weights.

        Raises:
            ImportError: if actions are continuous and the extra `diffusion` is not installed.
        """
        return Diffusion(self, spec, statistics)


class Diffusion(OneActionPolicy):
    """Causal attention over all tokens; actions are sampled by denoising."""

    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Build tokenizers, trunk, head and noise process.

        Raises:
            ImportError: if actions are continuous and the extra `diffusion` is not installed.
            ValueError: if options contradict each other.
        """
        super().__init__(config, spec, statistics, causal_segments=ALL_SEGMENTS)
        width, steps = config.width, dict(steps=config.denoising_steps, decoding_steps=config.num_decoding_steps)
        if isinstance(self.actions, DiscreteActions):
            self.noise = D3PM(self.actions, width, **steps, transition=config.transition)
        else:
            self.noise = DDPM(self.actions, statistics.actions, width, **steps, sampler=config.sampler)
        self.steps = nn.Embedding(config.denoising_steps, width)
        with torch.no_grad():  # neighboring steps start with similar embeddings
            self.steps.weight.copy_(init_std(width) * math.sqrt(2) * sinusoids(config.denoising_steps, width))

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 3 at one random denoising step per timestep, over valid entries that vary in the data.

        In evaluation mode the noise is the same each time: its seed depends only on a trajectory's first action. For
        discrete actions, evaluation mode also computes `action_accuracy`, the share of entries whose most likely bin
        is right at the last step (pure noise), which takes a second pass.
        """
        actions, K = trajectory.actions[:, : trajectory.num_timesteps], self.config.denoising_steps
        draws = self._draws(trajectory)
        step, draws = (draws[..., -1] * K).long().clamp(max=K - 1), draws[..., :-1].unflatten(-1, (-1, 2))
        valid = (trajectory.action_valid[:, : actions.shape[1]] & trajectory.counted)[..., None] & self.head.varies
        noisy, target = self.noise.corrupt(actions, step, draws)
        predicted = self.head(self.outputs(trajectory, noisy, step))
        loss = masked_mean(self.noise.loss(self.head, predicted, target), valid)
        metrics = {}
        if not self.training and isinstance(self.noise, D3PM):
            last = torch.full_like(step, K - 1)
            with torch.no_grad():
                predicted = self.head(self.outputs(trajectory, self.noise.corrupt(actions, last, draws)[0], last))
            metrics["action_accuracy"] = masked_mean(self.head.correct(predicted, actions), valid)
        return Losses(behavior_cloning=loss, metrics=metrics, count=valid.sum())

    def choose_action(
        self, state: SequenceState, observation: Observation
    ) -> tuple[Float[Tensor, "B N"], SequenceState]:
        """Append the executed action and the new state to the history, and sample the next action by denoising.

        The noisy tokens stay in the cache until the next step, when those of the executed action replace them.
        """
        observe(self, state, observation, observation.previous_action)
        B, N, device = len(state.timestep), self.sizes.action, self.device
        at = state.timestep[:, None]
        ids = batched(segment_ids(Kind.ACTION, N).to(device), B, at)
        queries = batched(segment_ids(Kind.QUERY, N).to(device), B, at)

        def denoise(noisy: Tensor, step: int) -> Tensor:
            tokens = self.add_positions(self.noise.tokens(noisy) + self.steps.weight[step], queries)
            return append(self, state, tokens, ids)

        action = self.noise.sample(denoise, self.head, self.decoding, state.generators)
        state.timestep += 1
        return action, state

    def outputs(
        self, trajectory: Trajectory, noisy: Shaped[Tensor, "B T N"], step: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T N D"]:
        """Return the outputs at the noisy tokens of whole trajectories."""
        (B, T), M, N = trajectory.valid.shape, self.sizes.state, self.sizes.action
        prompts = self.distinct_prompts(trajectory)
        L, C = prompts.tokens.shape[1], T * (M + 2 * N) - N  # nothing attends to the last action
        rows, columns, allowed, row_blocks = noisy_mask(masks.may_attend, L, M, N, T, self.config.window)
        rows, columns = rows.to(self.device), columns.to(self.device)
        allowed = allowed.to(self.device)

        states, seen = self.state_tokens(trajectory)
        noisy_tokens = self.noise.tokens(noisy) + self.steps(step)[:, :, None]
        context = interleave(states, noisy_tokens, self.action_tokens(trajectory.actions[:, :T]))[:, :C]
        state_valid = trajectory.valid[:, :, None] & seen
        action_valid = trajectory.action_valid[:, :T, None].expand(B, T, N)
        valid = interleave(state_valid, torch.ones_like(action_valid), action_valid)[:, :C]
        valid = torch.cat([prompts.valid[prompts.index], valid], dim=1)
        allowed = allowed[None] if valid.all() else allowed & valid[:, None]
        if (hidden := self.hidden_actions(trajectory)) is not None:
            allowed = masks.hide_actions(allowed, rows, columns, hidden[:, columns.timestep.clamp(min=0)])
        mask = self.additive_mask(allowed, rows, columns)
        outputs = self.transformer(
            self.shared_prompt(prompts),
            self.add_positions(context, rows),
            context.new_zeros(B, 0, context.shape[-1]),
            mask,
            context_out=True,
            row_blocks=row_blocks,
        )
        padded = torch.cat([outputs, outputs.new_zeros(B, N, outputs.shape[-1])], dim=1)
        return split(padded, M, N, N)[1]

    def _draws(self, trajectory: Trajectory) -> Float[Tensor, "B T n"]:
        """Draw uniform random numbers: two per dimension for the noise, and one for the denoising step."""
        (B, T), n = trajectory.valid.shape, 2 * self.sizes.action + 1
        if self.training:
            return torch.rand(B, T, n).to(self.device)
        seeds = [zlib.crc32(first.tobytes()) for first in trajectory.actions[:, 0].float().cpu().numpy()]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.rand(T, n, generator=generator) for generator in generators]).to(self.device)


@lru_cache(maxsize=64)
def noisy_mask(
    rule: Callable[..., Tensor], L: int, M: int, N: int, T: int, window: int | None
) -> tuple[TokenIds, TokenIds, Bool[Tensor, "R S"], tuple[RowBlock, ...]]:
    """Return rows, columns, mask and row blocks of whole trajectories with noisy actions, computed once per shape.

    Noisy tokens stand where queries stand, and also attend to earlier noisy tokens of their own action.

    Raises:
        MaskError: if `rule`, which is `may_attend`, would treat noisy tokens otherwise than `Diffusion.act` does.
    """
    rule = partial(rule, window=window, causal_segments=ALL_SEGMENTS)
    whole = sequence_ids(L, M, N, T, N)
    last = whole.select(slice(len(whole.kind) - N, None))
    columns = whole.select(slice(0, len(whole.kind) - N))
    rows = columns.select(slice(L, None))
    prompt, noisy = columns.select(slice(0, L)), columns.kind == Kind.QUERY
    refuse(rule(prompt, rows), prompt, rows, "a prompt is encoded once, without its context")
    refuse(rule(columns, last), columns, last, "the last action is left out")
    unseen = "nothing but its own action attends to a noisy token"
    refuse(rule(columns, columns) & noisy, columns, columns, unseen)
    refuse_empty_rows(rule(prompt, prompt), prompt)

    x = noisy & (rows.kind == Kind.QUERY)[:, None]
    own = x & (columns.timestep == rows.timestep[:, None]) & (columns.slot <= rows.slot[:, None])
    allowed = own | rule(rows, columns)
    # When acting, noisy tokens replace the action tokens: they must attend to the same tokens.
    queries = rows.select(rows.kind == Kind.QUERY)
    acting = TokenIds(torch.full_like(queries.kind, Kind.ACTION), queries.timestep, queries.slot)
    before = columns.order < queries.order[:, None]
    differs = (before & rule(acting, columns)) != rule(queries, columns)
    problem = "lets {row} and the action token that it replaces attend differently to {column}"
    refuse(differs, queries, columns, "a noisy token stands for its action token", problem)
    same = acting.timestep == acting.timestep[:, None]
    differs = same & (rule(acting, acting) != (acting.slot <= acting.slot[:, None]))
    problem = "is not causal between {row} and {column}"
    refuse(differs, acting, acting, "the noisy tokens of an action attend in the order of their slots", problem)
    refuse_empty_rows(allowed, rows)
    return rows, columns, allowed, cut_rows(allowed, allowed[:0], T, M + 2 * N, asked=0)


def sinusoids(steps: int, width: int) -> Float[Tensor, "steps width"]:
    """Return sines and cosines of each step, with wavelengths from 2 pi to a hundred times the number of steps."""
    half = (width + 1) // 2
    wavelengths = (100.0 * steps) ** (torch.arange(half) / max(half - 1, 1))
    angles = torch.arange(steps)[:, None] / wavelengths
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :width]
