"""Past actions hidden from a policy: in some training windows, or always.

A policy that reads its past actions can copy them instead of looking at the state. Hidden actions are masked: nothing
in a later segment attends to them. Inside its own segment an action stays visible, since Gato predicts each dimension
from those before. Contrastive dynamics learning asks whether actions fit, so it reads all of them.
"""

import torch
from jaxtyping import Bool
from torch import Tensor


def hidden_past_actions(share: float, valid: Bool[Tensor, "B T"], *, training: bool) -> Bool[Tensor, "B2 T"] | None:
    """Return which past actions are hidden, for each trajectory or (B2 = 1) for all; None if all are read.

    Args:
        share: Probability that all past actions of a training window are hidden; 1 hides them when acting too.
        valid: Real timesteps, whose shape and device are used.
        training: Whether the policy trains; if not, shares below 1 hide nothing.
    """
    if share == 1:
        return torch.ones_like(valid[:1])
    if not training or share == 0:
        return None
    return (torch.rand(len(valid), 1, device=valid.device) < share).expand(valid.shape)
