"""The optimizer, AdamW alone or with Muon for matrices, and the learning rate over a run."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["adamw", "muon"]
DECAYED = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Layers whose weights decay. All other parameters do not: biases, norms, embeddings, action queries, positions, and
the weights of the heads."""
MOMENTS = ("step", "exp_avg", "exp_avg_sq"), ("momentum_buffer",)
"""Names of what AdamW and Muon keep of a parameter."""
MUON_RATE = 2.0
"""Learning rate of Muon as a multiple of AdamW's. A small policy on the tabletop learned more with 2 than with 1."""


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices and AdamW for all other parameters, as one optimizer.

    Muon makes the update of a matrix orthogonal, so that it changes all directions alike. It is scaled to the size of
    AdamW's updates, so that the usual learning rates serve both. Weight decay follows the learning rate, so it is twice
    as strong in matrices.

    Deviation: the paper uses AdamW. Source: Jordan et al., 2024; the scale is that of Liu et al., 2025 (2502.16982).
    """

    def __init__(
        self,
        matrices: dict[str, Any],
        others: Sequence[dict[str, Any]],
        *,
        learning_rate: float,
        betas: tuple[float, float],
    ) -> None:
        """Build both optimizers.

        Args:
            matrices: group of the parameters that Muon updates.
            others: groups of all other parameters.
            learning_rate: initial learning rate.
            betas: decay rates of AdamW's moments.

        Raises:
            ValueError: if this version of PyTorch has no Muon.
        """
        if not hasattr(torch.optim, "Muon"):
            raise ValueError(
                f"training.optimizer=muon needs PyTorch 2.9 or newer, and this is {torch.__version__}: install a newer "
                f"one, or train with --training.optimizer adamw"
            )
        self._parts = (
            torch.optim.Muon([matrices], lr=MUON_RATE * learning_rate, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=learning_rate, betas=betas, fused=True),
        )
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Let both optimizers work on the groups and the state of this one."""
        muon, adamw = self._parts
        muon.param_groups, adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        muon.state = adamw.state = self.state

    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """Update all parameters."""
        loss = None if closure is None else closure()
        for part in self._parts:
            part.step()
        return loss

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs; its groups and state are shared again when it is made."""
        return {**super().__getstate__(), "_parts": self._parts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load groups and state."""
        super().load_state_dict(state_dict)
        self._share()


def decay_groups(module: nn.Module, weight_decay: float, prefix: str = "") -> list[dict[str, Any]]:
    """Split the trained parameters into those with weight decay and those without.

    Args:
        module: module in training.
        weight_decay: weight decay of the first group.
        prefix: prefix of the parameters' names.
    """
    decayed = {id(layer.weight) for layer in module.modules() if isinstance(layer, DECAYED)}
    trained = [(prefix + name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    return [
        {"params": [(n, p) for n, p in trained if id(p) in decayed], "weight_decay": weight_decay},
        {"params": [(n, p) for n, p in trained if id(p) not in decayed], "weight_decay": 0.0},
    ]


def build_optimizer(
    policy: nn.Module,
    contrastive: nn.Module | None = None,
    *,
    name: OptimizerName = "adamw",
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> torch.optim.Optimizer:
    """Build the optimizer of the trained parameters of a policy and of the head of contrastive dynamics learning.

    Args:
        policy: policy in training.
        contrastive: contrastive head; None: none.
        name: adamw; or muon, which takes the matrices of linear layers, and leaves the rest to AdamW.
        learning_rate: initial learning rate.
        weight_decay: weight decay of weight matrices.
        betas: decay rates of AdamW's first and second moments.

    Raises:
        ValueError: if this version of PyTorch lacks the optimizer.
    """
    groups = decay_groups(policy, weight_decay)
    if contrastive is not None:
        groups += decay_groups(contrastive, weight_decay, prefix="contrastive.")
    if name == "adamw":
        groups = [group for group in groups if group["params"]]
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)
    matrices = [each for group in groups[::2] for each in group["params"] if each[1].ndim == 2]
    taken = {id(parameter) for _, parameter in matrices}
    for group in groups:
        group["params"] = [each for each in group["params"] if id(each[1]) not in taken]
    return MuonWithAdamW(
        {"params": matrices, "weight_decay": weight_decay},
        [group for group in groups if group["params"]],
        learning_rate=learning_rate,
        betas=betas,
    )


def moments_of(group: dict[str, Any]) -> set[str]:
    """Return the names of what the optimizer keeps of each parameter of a group."""
    adamw, muon = MOMENTS
    return set(muon if _is_muons(group) else adamw)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of all groups, Muon's to a multiple."""
    for group in optimizer.param_groups:
        group["lr"] = MUON_RATE * learning_rate if _is_muons(group) else learning_rate


def _is_muons(group: dict[str, Any]) -> bool:
    return "momentum" in group


def learning_rate_factor(share: float, warmup: float) -> float:
    """Return the learning rate as a fraction of its peak: a linear warm-up, then half a cosine down to 0.

    Args:
        share: fraction of the run that is done, 0 to 1.
        warmup: fraction of the run that is warm-up, at least 0 and below 1.
    """
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warmup) / (1 - warmup))))
