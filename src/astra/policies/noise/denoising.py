"""What the two kinds of diffusion share: noise on actions, tokens of what is noisy, and the way back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from astra.policies.action_heads import ActionHead

Denoise = Callable[[Tensor, int], Tensor]
"""Reads noisy actions (B, N) at a step and gives the outputs (B, N, D) at their tokens."""


class Noise(nn.Module, ABC):
    """A noise process on actions, with steps 0 ... K - 1; at the last one nothing of the action is left."""

    @abstractmethod
    def corrupt(
        self, actions: Float[Tensor, "*batch N"], step: Int[Tensor, "*batch"], draws: Float[Tensor, "*batch N 2"]
    ) -> tuple[Shaped[Tensor, "*batch N"], Float[Tensor, "*batch N"]]:
        """Give noisy actions, and what is to be predicted from them.

        Args:
            actions: in the environment's own units.
            step: how noisy.
            draws: random numbers, uniform in [0, 1), from which the noise is made.
        """

    @abstractmethod
    def tokens(self, noisy: Shaped[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Give one token per dimension of noisy actions."""

    @abstractmethod
    def loss(
        self, head: ActionHead, predicted: Float[Tensor, "*batch N K"], target: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N"]:
        """Compare what the head predicts with what is to be predicted, entry by entry."""

    @abstractmethod
    def sample(
        self, denoise: Denoise, head: ActionHead, temperature: float, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B N"]:
        """Make actions from noise, in the environment's own units; each slot draws from its own generator."""
