"""The interface of a noise process on actions: corrupt, tokenize, compute the loss, sample."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from astra.policies.action_heads import ActionHead
from astra.policies.decoding import Decoding

Denoise = Callable[[Tensor, int], Tensor]
"""Function from noisy actions (B, N) and a denoising step to the outputs (B, N, D) of their tokens."""


class Noise(nn.Module, ABC):
    """Noise process on actions with steps 0 ... K - 1; at the last step nothing of the action is left."""

    @abstractmethod
    def corrupt(
        self, actions: Float[Tensor, "*batch N"], step: Int[Tensor, "*batch"], draws: Float[Tensor, "*batch N 2"]
    ) -> tuple[Shaped[Tensor, "*batch N"], Float[Tensor, "*batch N"]]:
        """Return noisy actions, and the target that is predicted from them.

        Args:
            actions: Actions in the environment's own units.
            step: Denoising step of each action; later steps are noisier.
            draws: Uniform random numbers in [0, 1), from which the noise is computed.
        """

    @abstractmethod
    def tokens(self, noisy: Shaped[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Return one token per dimension of noisy actions."""

    @abstractmethod
    def loss(
        self, head: ActionHead, predicted: Float[Tensor, "*batch N K"], target: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N"]:
        """Compute the loss of each entry against the target."""

    @abstractmethod
    def sample(
        self, denoise: Denoise, head: ActionHead, decoding: Decoding, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B N"]:
        """Sample actions, in the environment's own units; each environment draws from its own generator."""
