"""DDPM: Gaussian noise on continuous actions, removed step by step by predicting the noise.

    x_k = sqrt(c_k) x_0 + sqrt(1 - c_k) eps        k = 0 ... K - 1, the last step is pure noise; squared-cosine c_k

The noise schedule and the denoising steps are those of `diffusers`. Actions are scaled so that the bounds of the data
are -1 and 1, and denoised actions are clipped to them.

Source: appendix A.9, Eq. 3; Ho et al. 2020; the settings of Chi et al. 2023, Diffusion Policy.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from astra.attention.initialization import init_std
from astra.observations import check_finite_outputs
from astra.policies.action_heads import ActionHead
from astra.policies.decoding import Decoding
from astra.policies.noise.denoising import Denoise, Noise
from astra.tokenizers.actions import ContinuousActions
from astra.trajectory import VectorStatistics


class DDPM(Noise):
    """Gaussian noise on values between -1 and 1; the head predicts the noise."""

    low: Tensor
    high: Tensor

    def __init__(
        self,
        actions: ContinuousActions,
        statistics: VectorStatistics,
        width: int,
        *,
        steps: int,
        decoding_steps: int,
        sampler: Literal["ddpm", "ddim"],
    ) -> None:
        """Build the noise schedule and the embedding of noisy values.

        Args:
            actions: Tokenizer of the actions; it knows which dimensions vary and which are binary.
            statistics: Statistics of the actions; their bounds become -1 and 1.
            width: Width of a token.
            steps: K, steps of training.
            decoding_steps: Denoising steps of a sample.
            sampler: Denoising with new noise at each step (DDPM) or without (DDIM).

        Raises:
            ImportError: if the extra `diffusion` is not installed.
        """
        super().__init__()
        try:
            from diffusers.schedulers.scheduling_ddim import DDIMScheduler
            from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
        except ImportError as error:
            raise ImportError(
                "diffusion over continuous actions needs the extra `diffusion`: pip install '.[diffusion]' in Astra's "
                "folder"
            ) from error
        self.actions = (actions,)  # in a tuple, since the policy owns the module
        kind: Any = DDPMScheduler if sampler == "ddpm" else DDIMScheduler
        self.scheduler = kind(
            num_train_timesteps=steps,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="epsilon",
            clip_sample=True,
            timestep_spacing="trailing",  # so that fewer steps start at pure noise, too
        )
        self.scheduler.set_timesteps(decoding_steps)
        inside = actions.varies & ~actions.binary
        self.register_buffer("low", torch.where(inside, statistics.min, actions.low), persistent=False)
        self.register_buffer("high", torch.where(inside, statistics.max, actions.high), persistent=False)
        self.direction = nn.Parameter(torch.randn(actions.num_tokens, width) * init_std(width))
        self.offset = nn.Parameter(torch.randn(actions.num_tokens, width) * init_std(width))

    def corrupt(
        self, actions: Float[Tensor, "*batch N"], step: Int[Tensor, "*batch"], draws: Float[Tensor, "*batch N 2"]
    ) -> tuple[Float[Tensor, "*batch N"], Float[Tensor, "*batch N"]]:
        """Return noisy values and, as the target, the noise."""
        noise = (-2 * torch.log1p(-draws[..., 0])).sqrt() * torch.cos(2 * math.pi * draws[..., 1])  # Box-Muller
        clean = 2 * (actions - self.low) / (self.high - self.low) - 1
        flat, flat_noise = (part.reshape(-1, part.shape[-1]) for part in (clean.clamp(-1, 1), noise))
        return self.scheduler.add_noise(flat, flat_noise, step.flatten()).view_as(noise), noise

    def tokens(self, noisy: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Return one token per noisy value; that of a constant dimension, whose noise is not learned, never changes."""
        return noisy.masked_fill(~self.actions[0].varies, 0.0)[..., None] * self.direction + self.offset

    def loss(
        self, head: ActionHead, predicted: Float[Tensor, "*batch N K"], target: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N"]:
        """Compute the squared error of the predicted noise."""
        del head
        return (predicted[..., 0] - target).square()

    def sample(
        self, denoise: Denoise, head: ActionHead, decoding: Decoding, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B N"]:
        """Sample actions; decoding has no options."""
        del decoding
        (actions,), device = self.actions, self.low.device
        noisy = torch.stack([torch.randn(actions.num_tokens, generator=generator) for generator in generators])
        noisy = noisy.to(device)
        for step in self.scheduler.timesteps.tolist():
            noise = head(denoise(noisy, step))[..., 0]
            check_finite_outputs(noise)
            noisy = self.scheduler.step(noise, step, noisy, generator=list(generators), return_dict=False)[0]
        values = self.low + (noisy.clamp(-1, 1) + 1) / 2 * (self.high - self.low)
        values = torch.where(actions.binary, torch.where(noisy >= 0, self.high, self.low), values)
        return torch.where(actions.varies, values, actions.denormalize(actions.normalize(actions.mean)))
