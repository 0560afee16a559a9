"""Action heads: one linear layer per action dimension, its loss and its decoding."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std
from astra.observations import check_finite_outputs
from astra.policies.decoding import Decoding
from astra.policies.policy import Losses
from astra.tokenizers.actions import ContinuousActions, DiscreteActions
from astra.tokenizers.bin_values import waves
from astra.trajectory import Trajectory


class ActionHead(nn.Module, ABC):
    """One linear head per action dimension, shared over timesteps and over the actions of a chunk."""

    def __init__(self, dimensions: int, width: int, outputs: int) -> None:
        """Create N heads of `outputs` numbers each."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dimensions, width, outputs) * init_std(width))
        self.bias = nn.Parameter(torch.zeros(dimensions, outputs))

    @property
    @abstractmethod
    def varies(self) -> Bool[Tensor, " N"]:
        """True for the dimensions that count in a loss: those that vary in the data."""

    def forward(self, outputs: Float[Tensor, "*batch N D"]) -> Float[Tensor, "*batch N K"]:
        """Apply each dimension's head to its own output of the trunk."""
        return torch.einsum("...nd,ndk->...nk", outputs, self.weight) + self.bias

    @abstractmethod
    def loss(
        self, predicted: Float[Tensor, "*batch N K"], actions: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N"]:
        """Compute the loss of each entry against the demonstrated actions."""

    @abstractmethod
    def correct(
        self, predicted: Float[Tensor, "*batch N K"], actions: Float[Tensor, "*batch N"]
    ) -> Bool[Tensor, "*batch N"]:
        """Return where the most likely value is right; its mean is the accuracy."""

    def decode(
        self, predicted: Float[Tensor, "B C N K"], decoding: Decoding, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B C N"]:
        """Return actions in the environment's own units; each environment samples from its own generator.

        Raises:
            ValueError: if a score is NaN or infinite: the most likely bin would be an arbitrary one.
        """
        check_finite_outputs(predicted)
        return self.decode_unchecked(predicted, decoding, generators)

    @abstractmethod
    def decode_unchecked(
        self, predicted: Float[Tensor, "B C N K"], decoding: Decoding, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B C N"]:
        """Compute `decode` without its check, which an exported program cannot hold."""


class DiscreteHead(ActionHead):
    """Cross-entropy over bins. Source: Eq. 1 with discrete actions, section 4.3 and appendix A.10."""

    def __init__(self, actions: DiscreteActions, width: int, soft_labels: float) -> None:
        """Create N heads over K bins.

        With `head_frequencies` F, the score of a bin is that of its own weights plus the product of 2 F further outputs
        with sin(j x) and cos(j x), j = 1 ... F, of its place x (over sqrt(2 F) if `head_scaled`). Neighboring bins then
        share weights, without which heads over 50 to 100 bins learn slowly.

        Args:
            actions: Tokenizer that holds the bins.
            width: D, width of the trunk.
            soft_labels: Standard deviation, in bins, of the Gaussian that smooths the labels; 0 for hard labels.
                Binary dimensions always have hard labels.
        """
        super().__init__(actions.num_tokens, width, actions.num_bins)
        self.actions = (actions,)  # in a tuple, since the policy owns the module
        self.soft_labels = soft_labels
        shape = actions.num_tokens, width, 2 * actions.head_frequencies
        self.wave_weight = nn.Parameter(torch.randn(shape) * init_std(width)) if actions.head_frequencies else None
        features = waves(actions.counts, actions.periodic, actions.num_bins, actions.head_frequencies)
        self.register_buffer("waves", features * actions.head_scale, persistent=False)

    @property
    def varies(self) -> Bool[Tensor, " N"]:
        """True for the dimensions that count in a loss: those that vary in the data."""
        return self.actions[0].varies

    def forward(self, outputs: Float[Tensor, "*batch N D"]) -> Float[Tensor, "*batch N K"]:
        """Return the scores of each dimension's bins."""
        scores = super().forward(outputs)
        if self.wave_weight is None:
            return scores
        # Compute the weights of all bins first: they are few compared with the outputs of a batch.
        weight = torch.einsum("ndf,nkf->ndk", self.wave_weight, self.waves)
        return scores + torch.einsum("...nd,ndk->...nk", outputs, weight)

    def loss(
        self, predicted: Float[Tensor, "*batch N K"], actions: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N"]:
        """Compute -log pi of the demonstrated bin, or the cross-entropy with its soft labels."""
        (bins,) = self.actions
        logits = self._possible(predicted)
        if not self.soft_labels:
            return F.cross_entropy(logits.flatten(0, -2), bins.bins(actions).flatten(), reduction="none").view_as(
                actions
            )
        place = (actions[..., None] - bins.first_center[:, None]) / bins.bin_width[:, None]
        count = bins.counts[:, None]
        outside = bins.periodic[:, None] & ((place < -0.5) | (place >= count - 0.5))
        place = torch.where(outside, (place + 0.5) % count - 0.5, place.clamp(min=-0.5).minimum(count - 0.5))
        distance = torch.arange(bins.num_bins, device=place.device) - place
        distance = torch.where(bins.periodic[:, None], self._shorter(distance, count), distance)
        sharpness = torch.where(bins.counts == 2, 1e4, 0.5 / self.soft_labels**2)[:, None]
        labels = torch.softmax(self._possible(-sharpness * distance.square()), dim=-1)
        return -(labels * F.log_softmax(logits, dim=-1)).sum(-1)

    def correct(
        self, predicted: Float[Tensor, "*batch N K"], actions: Float[Tensor, "*batch N"]
    ) -> Bool[Tensor, "*batch N"]:
        """Return where the most likely bin is the demonstrated one."""
        (bins,) = self.actions
        return self._possible(predicted).argmax(-1) == bins.bins(actions)

    def decode_unchecked(
        self, predicted: Float[Tensor, "B C N K"], decoding: Decoding, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B C N"]:
        """Return the most likely bin or the mean of all (temperature 0), or a sampled bin.

        An environment draws one number per dimension and uses it for the whole action chunk, through the inverse of
        each cumulative distribution. So every action is distributed as predicted, and the actions of a chunk agree.
        Deviation: the paper does not say.
        """
        (bins,) = self.actions
        logits = self._possible(predicted)
        if decoding.temperature == 0:
            best = logits.argmax(-1)
            return bins.centers(best) if decoding.bin_value == "mode" else self._mean(logits, best)
        draws = torch.stack([torch.rand(predicted.shape[2], generator=generator) for generator in generators])
        draws = draws.clamp(min=2**-30)  # 0 would take the first bin, be it possible or not
        cumulative = torch.softmax(logits / decoding.temperature, dim=-1).cumsum(-1)
        threshold = draws.to(logits.device)[:, None, :, None] * cumulative[..., -1:]
        return bins.centers((cumulative < threshold).sum(-1).minimum(bins.counts - 1))

    def _mean(self, logits: Float[Tensor, "*batch N K"], best: Int[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
        """Return the mean of the distribution over bins; on a circle, of the bins around the most likely one."""
        (bins,) = self.actions
        count = bins.counts[:, None]
        distance = torch.arange(bins.num_bins, device=best.device) - best[..., None]
        distance = torch.where(bins.periodic[:, None], self._shorter(distance, count), distance)
        place = best + (torch.softmax(logits, dim=-1) * distance).sum(-1)
        place = torch.where(bins.periodic, (place + 0.5) % bins.counts - 0.5, place)
        return bins.first_center + torch.where(bins.counts == 2, best, place) * bins.bin_width

    @staticmethod
    def _shorter(distance: Shaped[Tensor, "*batch N K"], count: Int[Tensor, "N 1"]) -> Float[Tensor, "*batch N K"]:
        """Return distances on a circle of so many bins, the shorter way around."""
        return (distance + count / 2) % count - count / 2

    def _possible(self, logits: Float[Tensor, "*batch N K"]) -> Float[Tensor, "*batch N K"]:
        """Mask the bins that a dimension does not have or never takes."""
        (bins,) = self.actions
        return logits.masked_fill(~bins.bin_possible, torch.finfo(logits.dtype).min / 4)


class ContinuousHead(ActionHead):
    """Smooth-L1, or Huber's loss, on normalized values; cross-entropy on binary dimensions.

    Deviation: the paper does not state the loss of continuous actions; the default is the loss of GR-1, whose CALVIN
    recipe the paper follows.
    """

    def __init__(self, actions: ContinuousActions, width: int) -> None:
        """Create N heads of one number: a normalized value, or the logit of a binary dimension's upper value."""
        super().__init__(actions.num_tokens, width, 1)
        self.actions = (actions,)

    @property
    def varies(self) -> Bool[Tensor, " N"]:
        """True for the dimensions that count in a loss: those that vary in the data."""
        return self.actions[0].varies

    def loss(
        self, predicted: Float[Tensor, "*batch N K"], actions: Float[Tensor, "*batch N"]
    ) -> Float[Tensor, "*batch N"]:
        """Compute smooth-L1 or Huber's loss, or binary cross-entropy, per dimension."""
        (continuous,) = self.actions
        value, target = predicted[..., 0], continuous.normalize(actions)
        bend, error = continuous.config.quadratic_below, continuous.error(value, target)
        if continuous.config.loss == "huber":
            smooth = F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=bend)
        else:
            smooth = F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=bend)
        crossed = F.binary_cross_entropy_with_logits(
            value, torch.where(continuous.binary, target, 0.0), reduction="none"
        )
        return torch.where(continuous.binary, crossed, smooth)

    def correct(
        self, predicted: Float[Tensor, "*batch N K"], actions: Float[Tensor, "*batch N"]
    ) -> Bool[Tensor, "*batch N"]:
        """Return where the error is below a hundredth of the action's range, or the binary value is right."""
        (continuous,) = self.actions
        distance = (self._value(predicted) - actions) / (continuous.high - continuous.low)
        distance = torch.where(continuous.periodic, distance - distance.round(), distance)
        return distance.abs() < 0.01

    def decode_unchecked(
        self, predicted: Float[Tensor, "B C N K"], decoding: Decoding, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "B C N"]:
        """Return the predicted values; they are not random, so decoding has no options."""
        del decoding, generators
        return self._value(predicted)

    def _value(self, predicted: Float[Tensor, "*batch N K"]) -> Float[Tensor, "*batch N"]:
        (continuous,) = self.actions
        value = predicted[..., 0]
        value = torch.where(continuous.binary, (value > 0).to(value.dtype), value)
        return continuous.denormalize(torch.where(continuous.varies, value, continuous.normalize(continuous.mean)))


def build_head(actions: DiscreteActions | ContinuousActions, width: int, soft_labels: float) -> ActionHead:
    """Build the head that fits the tokenizer of actions.

    Raises:
        ValueError: if continuous actions are to have soft labels.
    """
    if isinstance(actions, DiscreteActions):
        return DiscreteHead(actions, width, soft_labels)
    if soft_labels:
        raise ValueError(
            f"soft labels need discrete actions, and these are continuous: set soft_labels to 0, got "
            f"soft_labels={soft_labels}"
        )
    return ContinuousHead(actions, width)


def behavior_cloning(
    head: ActionHead,
    predicted: Float[Tensor, "*batch N K"],
    actions: Float[Tensor, "*batch N"],
    valid: Bool[Tensor, "*batch"],
    present: Bool[Tensor, "B N"] | None = None,
) -> Losses:
    """Compute Eq. 1 and the accuracy, over valid entries that vary in the data and that their trajectory has."""
    counted = valid[..., None] & head.varies
    if present is not None:
        counted = counted & present.reshape(len(present), *[1] * (valid.ndim - 1), -1)
    loss = masked_mean(head.loss(predicted, actions), counted)
    with torch.no_grad():
        accuracy = masked_mean(head.correct(predicted, actions), counted)
    return Losses(behavior_cloning=loss, metrics={"action_accuracy": accuracy}, count=counted.sum())


def one_action_loss(head: ActionHead, predicted: Float[Tensor, "B T N K"], trajectory: Trajectory) -> Losses:
    """Compute Eq. 1 and the accuracy of a policy that predicts one action at each timestep."""
    T = trajectory.num_timesteps
    valid = trajectory.action_valid[:, :T] & trajectory.counted
    return behavior_cloning(head, predicted, trajectory.actions[:, :T], valid, trajectory.action_present)


def masked_mean(values: Shaped[Tensor, "*batch N"], counted: Bool[Tensor, "*batch N"]) -> Float[Tensor, ""]:
    """Return the mean of the counted values; 0 if none is counted."""
    return values.masked_fill(~counted, 0).sum() / counted.sum().clamp(min=1)
