"""Diffusion: the trunk of Gato reads noisy actions and makes them less noisy, step by step.

    p1 p2 p3 | s1 s2 | x1 x2 x3 | a1 a2 a3 | s1 s2 | x1 x2 x3 | a1 a2 a3 | ...
               t = 1                         t = 2

The noisy tokens x_t of an action stand beside its clean tokens a_t. They read the prompt, all states up to s_t, the
clean actions before a_t, and those of their own slots that come first; nobody else reads them. So all timesteps are
trained at once, each at a step of its own, and acting is the same function: x_t stands where a_t will stand.

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
from astra.policies.noise.d3pm import D3PM, Transition
from astra.policies.noise.ddpm import DDPM
from astra.policies.policy import Losses
from astra.policies.sequence import PlainSequencePolicy, SequenceConfig, SequenceState, batched
from astra.tokenizers.actions import DiscreteActions
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(SequenceConfig):
    """Size and options of a Diffusion; discrete actions are denoised by D3PM, continuous ones by DDPM."""

    denoising_steps: int = 100
    """K, steps from an action to pure noise."""
    decoding_steps: int | None = None
    """Steps in which an action is made from noise, each one pass; None: all K."""
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """How continuous actions are made from noise: with new noise at each step, or without."""
    transition: Transition = "uniform"
    """What takes the place of a bin of discrete actions: any other one, or a mask."""

    def __post_init__(self) -> None:
        """Check the steps.

        Raises:
            ValueError: if there are none, or more for decoding than for training.
        """
        if not 1 <= self.steps_back <= self.denoising_steps:
            raise ValueError(
                f"decoding_steps must lie between 1 and denoising_steps, got {self.decoding_steps} and "
                f"{self.denoising_steps}"
            )

    @property
    def steps_back(self) -> int:
        """Count the steps of decoding."""
        return self.denoising_steps if self.decoding_steps is None else self.decoding_steps

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Diffusion":
        """Make the policy, with new weights.

        Raises:
            ImportError: if actions are continuous and the extra `diffusion` is not installed.
        """
        return Diffusion(self, spec, statistics)


class Diffusion(PlainSequencePolicy):
    """Causal attention over all tokens; actions are made from noise."""

    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Make tokenizers, trunk, head and noise.

        Raises:
            ImportError: if actions are continuous and the extra `diffusion` is not installed.
            ValueError: if the options contradict each other.
        """
        super().__init__(config, spec, statistics, causal_segments=ALL_SEGMENTS)
        width, steps = config.width, dict(steps=config.denoising_steps, decoding_steps=config.steps_back)
        if isinstance(self.actions, DiscreteActions):
            self.noise = D3PM(self.actions, width, **steps, transition=config.transition)
        else:
            self.noise = DDPM(self.actions, statistics.actions, width, **steps, sampler=config.sampler)
        self.steps = nn.Embedding(config.denoising_steps, width)
        with torch.no_grad():  # near steps begin alike
            self.steps.weight.copy_(init_std(width) * math.sqrt(2) * sinusoids(config.denoising_steps, width))

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 3 at one random step per timestep, over valid entries that vary in the data only.

        In evaluation the noise is the same each time, drawn from a seed that a trajectory's first action decides. Only
        then, since it takes a pass of its own, and only of discrete actions, `action_accuracy` is told: the share of
        entries whose most likely bin is right when nothing but noise is known of the action.
        """
        actions, K = trajectory.actions[:, : trajectory.num_timesteps], self.config.denoising_steps
        draws = self._draws(trajectory)
        step, draws = (draws[..., -1] * K).long().clamp(max=K - 1), draws[..., :-1].unflatten(-1, (-1, 2))
        valid = (trajectory.action_valid[:, : actions.shape[1]] & trajectory.valid)[..., None] & self.head.varies
        count = valid.sum()
        noisy, target = self.noise.corrupt(actions, step, draws)
        predicted = self.head(self.outputs(trajectory, noisy, step))
        cost = self.noise.loss(self.head, predicted, target).masked_fill(~valid, 0.0).sum() / count.clamp(min=1)
        metrics = {}
        if not self.training and isinstance(self.noise, D3PM):
            last = torch.full_like(step, K - 1)
            with torch.no_grad():
                predicted = self.head(self.outputs(trajectory, self.noise.corrupt(actions, last, draws)[0], last))
                correct = self.head.correct(predicted, actions) & valid
            metrics["action_accuracy"] = correct.sum() / count.clamp(min=1)
        return Losses(behavior_cloning=cost, metrics=metrics, count=count)

    @torch.no_grad()
    def act(self, state: SequenceState, observation: Observation) -> tuple[Float[Tensor, "B N"], SequenceState]:
        """Read the executed action and the new state, and make the next action from noise.

        The noisy tokens stay in the cache only until the next step, when those of the executed action take their
        places.
        """
        self.observe(state, observation, observation.previous_action)
        B, N, device = len(state.timestep), self.sizes.action, self.device
        at = state.timestep[:, None]
        ids = batched(segment_ids(Kind.ACTION, N).to(device), B, at)
        queries = batched(segment_ids(Kind.QUERY, N).to(device), B, at)
        valid = torch.ones(B, N, dtype=torch.bool, device=device)

        def denoise(noisy: Tensor, step: int) -> Tensor:
            tokens = self.place(self.noise.tokens(noisy) + self.steps.weight[step], queries)
            outputs = state.cache.read(self.transformer, tokens, ids, valid, positions=self.relative, context_out=True)
            assert outputs is not None
            return outputs

        action = self.noise.sample(denoise, self.head, self.decoding.temperature, state.generators)
        state.timestep += 1
        return action, state

    def outputs(
        self, trajectory: Trajectory, noisy: Shaped[Tensor, "B T N"], step: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T N D"]:
        """Read whole trajectories beside noisy actions: give the outputs at the noisy tokens."""
        (B, T), M, N = trajectory.valid.shape, self.sizes.state, self.sizes.action
        prompt, prompt_valid, of = self.prompt_of(trajectory)
        L, C = prompt.shape[1], T * (M + 2 * N) - N  # nothing attends to the last action
        rows, columns, allowed, row_blocks = noisy_mask(masks.may_attend, L, M, N, T, self.config.window)
        rows, columns, allowed = (part.to(prompt.device) for part in (rows, columns, allowed))

        states, seen = self.state_tokens(trajectory)
        noisy_tokens = self.noise.tokens(noisy) + self.steps(step)[:, :, None]
        context = interleave(states, noisy_tokens, self.action_tokens(trajectory.actions[:, :T]))[:, :C]
        state_valid = trajectory.valid[:, :, None] & seen
        action_valid = trajectory.action_valid[:, :T, None].expand(B, T, N)
        valid = interleave(state_valid, torch.ones_like(action_valid), action_valid)[:, :C]
        valid = torch.cat([prompt_valid[of], valid], dim=1)
        mask = self.mask(allowed[None] if valid.all() else allowed & valid[:, None], rows, columns)
        outputs = self.transformer(
            self.shared_prompt(prompt, prompt_valid, of),
            self.place(context, rows),
            context.new_zeros(B, 0, context.shape[-1]),
            mask,
            context_out=True,
            row_blocks=row_blocks,
        )
        padded = torch.cat([outputs, outputs.new_zeros(B, N, outputs.shape[-1])], dim=1)
        return split(padded, M, N, N)[1]

    def _draws(self, trajectory: Trajectory) -> Float[Tensor, "B T n"]:
        """Draw uniform numbers: two per dimension for the noise, and one for the step."""
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
    # When acting, noisy tokens stand in the place of the action: they must attend to the same tokens.
    queries = rows.select(rows.kind == Kind.QUERY)
    acting = TokenIds(torch.full_like(queries.kind, Kind.ACTION), queries.timestep, queries.slot)
    before = columns.order < queries.order[:, None]
    differs = (before & rule(acting, columns)) != rule(queries, columns)
    problem = "treats {row} and the action token in its place differently, as to {column}"
    refuse(differs, queries, columns, "a noisy token stands for its action token", problem)
    same = acting.timestep == acting.timestep[:, None]
    differs = same & (rule(acting, acting) != (acting.slot <= acting.slot[:, None]))
    problem = "is not causal between {row} and {column}"
    refuse(differs, acting, acting, "the noisy tokens of an action attend in the order of their slots", problem)
    refuse_empty_rows(allowed, rows)
    return rows, columns, allowed, cut_rows(allowed, allowed[:0], T, M + 2 * N, asked=0)


def sinusoids(steps: int, width: int) -> Float[Tensor, "steps width"]:
    """Give sines and cosines of the step, with wavelengths from 2 pi to a hundred times the number of steps."""
    half = (width + 1) // 2
    wavelengths = (100.0 * steps) ** (torch.arange(half) / max(half - 1, 1))
    angles = torch.arange(steps)[:, None] / wavelengths
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :width]
