"""D3PM: noise that replaces the bins of discrete actions, removed step by step by predicting the original bins.

    uniform      x_k is x_0 with probability c_k, otherwise any bin          squared-cosine c_k
    absorbing    x_k is x_0 with probability c_k, otherwise the mask         linear c_k

Dimensions differ in their number of bins, so each has its own transition matrix. No matrix is built: both kinds have a
closed form. The network predicts x_0. One denoising step samples x_0 from the prediction and then the less noisy x_j,
j < k, from q(x_j | x_k, x_0).

Source: appendix A.9, Eq. 3; Austin et al. 2021.
Deviation: Eq. 3 predicts the noise. A category has no noise to subtract, so the action itself is predicted, as Austin
et al. recommend. The loss is only the cross-entropy, as in Eq. 3, without their variational bound.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from astra.attention.initialization import init_std
from astra.policies.action_heads import ActionHead
from astra.policies.decoding import Decoding
from astra.policies.noise.denoising import Denoise, Noise
from astra.tokenizers.actions import DiscreteActions

Transition = Literal["uniform", "absorbing"]


class D3PM(Noise):
    """Noise on bins; the mask of a dimension has the number after its last bin."""

    kept: Tensor
    rows: Tensor

    def __init__(
        self, actions: DiscreteActions, width: int, *, steps: int, decoding_steps: int, transition: Transition
    ) -> None:
        """Build the noise schedule and the embedding of noisy bins.

        Args:
            actions: Tokenizer that holds the bins.
            width: Width of a token.
            steps: K, steps of training.
            decoding_steps: Denoising steps of a sample.
            transition: Replacement of a bin: any bin, or the mask.
        """
        super().__init__()
        self.actions = (actions,)  # in a tuple, since the policy owns the module
        self.transition: Transition = transition
        self.decoding_steps = [round(steps * (1 - i / decoding_steps)) - 1 for i in range(decoding_steps)]
        share = torch.arange(1, steps + 1) / steps
        kept = torch.cos(share * math.pi / 2).square() if transition == "uniform" else 1 - share
        kept[-1] = 0.0
        self.register_buffer("kept", kept, persistent=False)
        self.register_buffer("rows", (actions.counts + 1).cumsum(0) - actions.counts - 1, persistent=False)
        self.embedding = nn.Embedding(actions.total_bins + actions.num_tokens, width)
        nn.init.normal_(self.embedding.weight, std=init_std(width))

    def corrupt(
        self, actions: Float[Tensor, "*batch N"], step: Int[Tensor, "*batch"], draws: Float[Tensor, "*batch N 2"]
    ) -> tuple[Int[Tensor, "*batch N"], Float[Tensor, "*batch N"]]:
        """Return noisy bins and, as the target, the actions."""
        clean = self.actions[0].bins(actions)
        return torch.where(draws[..., 0] < self.kept[step][..., None], clean, self.pure(draws[..., 1])), actions

    def pure(self, draws: Float[Tensor, "*batch N"]) -> Int[Tensor, "*batch N"]:
        """Return bins at the last step, which hold nothing of the action."""
        counts = self.actions[0].counts
        if self.transition == "absorbing":
            return counts.expand(draws.shape)
        return (draws * counts).long().minimum(counts - 1)

    def tokens(self, noisy: Int[Tensor, "*batch N"]) -> Float[Tensor, "*batch N D"]:
        """Return one token per noisy bin."""
        return self.embedding(noisy + self.rows)

    def loss(
        self, head: ActionHead, predicted: Float[Tensor, "*batch N K"], target: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N"]:
        """Compute the cross-entropy of the predicted action, at every step."""
        return head.loss(predicted, target)

    def sample(
        self, denoise: Denoise, head: ActionHead, decoding: Decoding, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B N"]:
        """Sample actions; at temperature 0 each denoising step uses the most likely or the mean action."""
        (actions,) = self.actions
        noisy = self.pure(self._draw(generators))
        for step, before in zip(self.decoding_steps, [*self.decoding_steps[1:], -1], strict=True):
            predicted = head(denoise(noisy, step))[:, None]
            clean = actions.bins(head.decode(predicted, decoding, generators)[:, 0])
            noisy = self.step_back(noisy, clean, step, before, self._draw(generators))
        return actions.centers(noisy)

    def step_back(
        self, noisy: Int[Tensor, "B N"], clean: Int[Tensor, "B N"], step: int, before: int, draws: Float[Tensor, "B N"]
    ) -> Int[Tensor, "B N"]:
        """Sample the bins at an earlier step from q(x_before | x_step, x_0); before = -1 returns x_0."""
        if before < 0:
            return clean
        now, then = self.kept[step], self.kept[before]
        (actions,) = self.actions
        if self.transition == "absorbing":
            revealed = draws < (then - now) / (1 - now)
            return torch.where((noisy == actions.counts) & revealed, clean, noisy)
        numbers = torch.arange(actions.num_bins, device=noisy.device)
        even = actions.bin_exists / actions.counts[:, None]
        onward = now / then
        forward = onward * (numbers == noisy[..., None]) + (1 - onward) * even  # q(x_step | x_before)
        backward = then * (numbers == clean[..., None]) + (1 - then) * even  # q(x_before | x_0)
        cumulative = (forward * backward).cumsum(-1)
        return (cumulative <= draws[..., None] * cumulative[..., -1:]).sum(-1).minimum(actions.counts - 1)

    def _draw(self, generators: Sequence[torch.Generator]) -> Float[Tensor, "B N"]:
        N = self.actions[0].num_tokens
        return torch.stack([torch.rand(N, generator=generator) for generator in generators]).to(self.kept.device)
