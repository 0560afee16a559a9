"""Contrastive objective of a batch: draw, perturb and augment, encode once, compare."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from astra.attention.inputs import PromptTokens
from astra.augmentation.pictures import AugmentationConfig, augment
from astra.contrastive_dynamics.info_nce import info_nce, score_alone
from astra.contrastive_dynamics.negatives import Contrast, Negatives, draw_contrast
from astra.contrastive_dynamics.perturbation import ActionPerturbation
from astra.contrastive_dynamics.trajectory_head import Pooling, TrajectoryHead
from astra.policies.action_chunks import relative_to
from astra.policies.policy import Policy, TrajectoryEncoder
from astra.storage.numbers import Count, NotNegative, Positive, PositiveShare, Share, Tokens, Width, check_numbers
from astra.tokenizers.actions import DiscreteActions
from astra.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """Options of contrastive dynamics learning. Deviation: the paper gives none of these numbers."""

    weight: Positive = 0.1
    """alpha, the weight of the contrastive loss in the sum with behavior cloning."""
    begin: Share = 0.0
    """Share of the run before which alpha is 0; an update then costs as much as one of behavior cloning."""
    fade: bool = False
    """Whether alpha falls from `weight` at `begin` to 0 at the end of the run, linearly; if not, it stays."""
    cdl_fraction: PositiveShare = 0.25
    """Share of each micro-batch that becomes anchors. With 1 an update costs several times one of behavior cloning;
    with less the expected gradient is the same, but noisier."""
    negatives: Tokens = 4
    """J, the number of negatives of each anchor."""
    negatives_from: Negatives = "any_task"
    """Source of the negatives' segments; the options other than the default are harder than the paper's."""
    min_timesteps: Count = 1
    """Fewest timesteps of an anchor. A window of one timestep has no dynamics: a negative of it replaces one of two
    segments. With more than 1, micro-batches do not group windows by length."""
    replace_prob: PositiveShare = 0.5
    """Probability that a segment of a negative is replaced."""
    action_noise: NotNegative = 0.05
    """Standard deviation of the noise on the actions of positives, as a share of that of the data; at least one bin."""
    augmentation: AugmentationConfig | None = field(default_factory=AugmentationConfig)
    """Augmentation of the states of positives and of half of the negatives; None: states stay unchanged."""
    pooling: Pooling = "max"
    """How the action tokens of the last timestep are pooled."""
    projection: Width = 128
    """F, the width of an embedding."""
    projection_layers: Literal[1, 2] = 1
    """One linear layer from the pooled token to the embedding, or two with a GELU in between. A projection of two
    layers keeps more of the trunk for behavior cloning."""
    score: Literal["anchor", "alone"] = "anchor"
    """Score of a candidate: its product with the anchor, as in the paper, or (alone) with one learned vector, so that
    sharing segments with the anchor does not help."""
    temperature: Positive = 1.0
    """Divisor of the dot products of embeddings; 1 is the paper's form."""
    normalize: bool = False
    """Whether embeddings are scaled to length 1; the paper does not."""
    checkpointing: bool = False
    """Recompute the encoding in the backward pass instead of storing it: less memory, more time."""
    contrastive_only: bool = False
    """Train without behavior cloning: pretraining, from which `TrainingConfig.init_from` continues."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "training.contrastive")
        if self.augmentation is not None and self.augmentation.prompts:
            raise ValueError(
                "contrastive.augmentation.prompts must be off: all candidates of an anchor share its prompt"
            )
        if self.contrastive_only and (self.begin or self.fade):
            raise ValueError(
                f"contrastive.begin and contrastive.fade change the weight beside behavior cloning, which "
                f"contrastive.contrastive_only leaves out: set one or the other, got begin={self.begin} and "
                f"fade={self.fade}"
            )
        if self.negatives_from == "mixed" and self.negatives < 2:
            raise ValueError(
                f"contrastive.negatives_from='mixed' needs at least 2 negatives, half of each kind, got "
                f"contrastive.negatives={self.negatives}"
            )

    def weight_at(self, share: float) -> float:
        """Return alpha after a share of the run, from 0 to 1."""
        if share < self.begin:
            return 0.0
        return self.weight * (1 - (share - self.begin) / (1 - self.begin)) if self.fade else self.weight

    def draw(self, trajectory: Trajectory, fraction: float | None = None) -> Contrast:
        """Draw the anchors and negatives of a batch on the CPU.

        Args:
            trajectory: Batch of trajectories.
            fraction: Share of the batch that becomes anchors; None: `cdl_fraction`.

        Raises:
            TooFewEpisodesError: if the batch has too few episodes.
        """
        return draw_contrast(
            trajectory,
            fraction=self.cdl_fraction if fraction is None else fraction,
            negatives=self.negatives,
            negatives_from=self.negatives_from,
            replace_prob=self.replace_prob,
            min_timesteps=self.min_timesteps,
        )


class ContrastiveDynamics(nn.Module):
    """Trajectory head and contrastive loss of a policy's encoder; both are needed only in training.

    Args:
        config: Options.
        policy: Policy whose encoder is trained; no reference to it is kept.

    Raises:
        ValueError: if the policy cannot encode whole trajectories.
    """

    def __init__(self, config: ContrastiveConfig, policy: Policy[Any]) -> None:
        super().__init__()
        self.config = config
        encoder = policy.trajectory_encoder()
        self.head = TrajectoryHead(encoder.width, config.projection, config.pooling, config.projection_layers)
        alone = config.score == "alone"
        self.direction = nn.Parameter(torch.randn(config.projection) / config.projection**0.5) if alone else None
        self.perturb = ActionPerturbation(encoder, config.action_noise)

    def forward(
        self, policy: Policy[Any], trajectory: Trajectory, contrast: Contrast
    ) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
        """Compute L_CDL of a batch, and detached means to log. Source: Eq. 2."""
        perturbed, encoder = self.perturb(trajectory.actions), policy.trajectory_encoder()
        if self.config.checkpointing and torch.is_grad_enabled():
            embeddings = checkpoint(self.embed, encoder, trajectory, contrast, perturbed, use_reentrant=False)
            assert isinstance(embeddings, Tensor)
        else:
            embeddings = self.embed(encoder, trajectory, contrast, perturbed)
        options = {"temperature": self.config.temperature, "normalize": self.config.normalize}
        if self.direction is None:
            loss, metrics = info_nce(embeddings, **options)
        else:
            loss, metrics = score_alone(embeddings, self.direction, **options)
        return loss, {
            "contrastive_loss": loss.detach(),
            **metrics,
            **self._changed_bins(encoder, trajectory, perturbed),
        }

    def embed(
        self, encoder: TrajectoryEncoder, trajectory: Trajectory, contrast: Contrast, perturbed: Float[Tensor, "B _ N"]
    ) -> Float[Tensor, "A candidates F"]:
        """Encode anchors, positives and negatives in one pass, and embed each.

        Each state is tokenized once, no matter how many candidates contain it, and each prompt is encoded once for all
        candidates of its anchors.
        """
        A, num_candidates, T = contrast.states.shape
        real = trajectory.valid & trajectory.action_valid[:, :T]
        seen = self._seen(trajectory, contrast)
        tokens, exists = encoder.state_tokens(seen)
        states, actions = contrast.states.flatten(0, 1), contrast.actions.flatten(0, 1)
        rows = real[contrast.anchors].repeat_interleave(num_candidates, 0)
        mixed = Trajectory(
            instructions=("",) * (A * num_candidates),  # unused: the prompts are passed below
            states={name: _at(values, states) for name, values in seen.states.items()},
            images={},
            valid=rows,
            actions=_at(torch.cat([trajectory.actions[:, :T], perturbed[:, :T]]), actions),
            action_valid=rows,
        )
        if (reference := encoder.reference(trajectory)) is not None and (other := encoder.reference(mixed)) is not None:
            # An action stays relative to its own state: relative to another it would lie outside its range.
            mixed = replace(mixed, actions=mixed.actions - _at(reference.repeat(2, 1, 1), actions) + other)
        prompts = self._prompts(encoder, trajectory, contrast, num_candidates)
        placed = _at(tokens, states), exists.flatten(0, 1)[states]
        _, last = encoder.encode(mixed, states=placed, prompts=prompts)
        return self.head(last, rows).unflatten(0, (A, num_candidates))

    def _seen(self, trajectory: Trajectory, contrast: Contrast) -> Trajectory:
        """Return the states that are used: the originals unchanged, the others augmented."""
        B = len(trajectory.valid)
        rows = contrast.rows % B
        seen = Trajectory(
            instructions=("",) * len(rows),
            states={name: values[rows] for name, values in trajectory.states.items()},
            images={name: frames[rows] for name, frames in trajectory.images.items()},
            features={name: values[rows] for name, values in trajectory.features.items()},
            valid=trajectory.valid[rows],
            actions=trajectory.actions[rows],
            action_valid=trajectory.action_valid[rows],
            objects={name: view[rows] for name, view in trajectory.objects.items()},
        )
        if self.config.augmentation is None:
            return seen
        return augment(seen, self.config.augmentation, after=contrast.originals, together=True)

    def _prompts(
        self, encoder: TrajectoryEncoder, trajectory: Trajectory, contrast: Contrast, num_candidates: int
    ) -> PromptTokens:
        first = list(contrast.first_prompts)
        pictures = None if trajectory.pictures is None else trajectory.pictures[first]
        instructions = tuple(trajectory.instructions[row] for row in first)
        prompt, valid = encoder.prompt_tokens(instructions, pictures)
        return PromptTokens(tokens=prompt, valid=valid, index=contrast.prompts.repeat_interleave(num_candidates))

    def _changed_bins(
        self, encoder: TrajectoryEncoder, trajectory: Trajectory, perturbed: Float[Tensor, "B _ N"]
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Compute the share of perturbed action dimensions whose bin changed."""
        if not isinstance(encoder.actions, DiscreteActions):
            return {}
        T = trajectory.num_timesteps
        before, after = trajectory.actions[:, :T], perturbed[:, :T]
        if (reference := encoder.reference(trajectory)) is not None:
            spec = encoder.spec.actions
            before, after = relative_to(reference, before, spec), relative_to(reference, after, spec)
        counted = (trajectory.valid & trajectory.action_valid[:, :T])[..., None] & (self.perturb.deviation > 0)
        changed = (encoder.actions.bins(before) != encoder.actions.bins(after)) & counted
        return {"bins_changed": changed.sum() / counted.sum().clamp(min=1)}


def _at(values: Shaped[Tensor, "P T *F"], places: Int64[Tensor, "R T"]) -> Shaped[Tensor, "R T *F"]:
    """Gather rows by index; `F.embedding` sums the gradients of repeated rows in one go."""
    return F.embedding(places, values.flatten(0, 1).flatten(1)).view(*places.shape, *values.shape[2:])
