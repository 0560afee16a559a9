"""The contrastive objective of a batch: draw, perturb and augment, encode once, compare."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from astra.augmentation.pictures import AugmentationConfig, augmented
from astra.contrastive_dynamics.info_nce import info_nce
from astra.contrastive_dynamics.negatives import Contrast, Negatives, draw_contrast
from astra.contrastive_dynamics.perturbation import ActionPerturbation
from astra.contrastive_dynamics.trajectory_head import Pooling, TrajectoryHead
from astra.policies.policy import Policy, PromptTokens, TrajectoryEncoder
from astra.tokenizers.actions import DiscreteActions
from astra.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """How contrastive dynamics learning is done. Deviation: of all numbers here the paper gives none."""

    weight: float = 0.1
    """alpha, by which its loss is multiplied before it is added to that of behavior cloning."""
    cdl_fraction: float = 0.25
    """Share of each micro-batch that becomes anchors. With 1 an update costs several times one of behavior cloning;
    the gradient is the same in the mean, and noisier with fewer anchors."""
    negatives: int = 4
    """J, negatives of each anchor."""
    negatives_from: Negatives = "any_task"
    """Where their segments come from; what is not the default is harder to tell than the paper's."""
    replace_prob: float = 0.5
    """Probability that a segment of a negative is replaced."""
    action_noise: float = 0.05
    """Standard deviation of the noise on the actions of positives, as a share of that of the data; one bin at least."""
    augmentation: AugmentationConfig | None = field(default_factory=AugmentationConfig)
    """Of the states of positives, and of the augmented half of negatives; None: states stay what they are."""
    pooling: Pooling = "max"
    """How the action tokens of the last timestep become one."""
    projection: int = 128
    """F, the width of an embedding."""
    temperature: float = 1.0
    """By which products of embeddings are divided; 1 is the paper's form."""
    normalize: bool = False
    """Whether embeddings are brought to length 1; the paper does not."""
    checkpointing: bool = False
    """Compute the encoding anew in the backward pass instead of keeping it: less memory, more time."""
    contrastive_only: bool = False
    """Leave behavior cloning out: pretraining, from which `TrainingConfig.init_from` goes on."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: naming the field.
        """
        if not 0 < self.cdl_fraction <= 1 or not 0 < self.replace_prob <= 1:
            raise ValueError(
                f"cdl_fraction and replaced lie above 0 and up to 1, got {self.cdl_fraction} and {self.replace_prob}"
            )
        if min(self.negatives, self.projection) < 1:
            raise ValueError(f"negatives and projection must be at least 1, got {self.negatives} and {self.projection}")
        if min(self.weight, self.temperature) <= 0 or self.action_noise < 0:
            raise ValueError("weight and temperature must be above 0, and action_noise not below")
        if self.augmentation is not None and self.augmentation.prompts:
            raise ValueError("contrastive.augmentation.prompts: all candidates of an anchor have its prompt as it is")

    def draw(self, trajectory: Trajectory, fraction: float | None = None) -> Contrast:
        """Draw what is contrasted in a batch that lies on the CPU.

        Args:
            trajectory: The batch.
            fraction: Share of it that becomes anchors; None: `cdl_fraction`.

        Raises:
            ValueError: if the batch is too small.
        """
        return draw_contrast(
            trajectory,
            fraction=self.cdl_fraction if fraction is None else fraction,
            negatives=self.negatives,
            negatives_from=self.negatives_from,
            replace_prob=self.replace_prob,
        )


class ContrastiveDynamics(nn.Module):
    """The trajectory head, and how a policy's encoder is taught by it; acting needs neither.

    Args:
        config: how.
        policy: whose encoder is taught; it is not held.

    Raises:
        ValueError: if the policy is not one over one sequence, which can be encoded.
    """

    def __init__(self, config: ContrastiveConfig, policy: Policy[Any]) -> None:
        super().__init__()
        self.config = config
        encoder = policy.trajectory_encoder()
        self.head = TrajectoryHead(encoder.width, config.projection, config.pooling)
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
        loss, metrics = info_nce(embeddings, temperature=self.config.temperature, normalize=self.config.normalize)
        return loss, {
            "contrastive_loss": loss.detach(),
            **metrics,
            **self._changed_bins(encoder, trajectory, perturbed),
        }

    def embed(
        self, policy: TrajectoryEncoder, trajectory: Trajectory, contrast: Contrast, perturbed: Float[Tensor, "B _ N"]
    ) -> Float[Tensor, "A C F"]:
        """Encode anchors, positives and negatives in one pass, and embed each.

        A state is tokenized once however many candidates hold it, and a prompt is encoded once for all of an anchor's.
        """
        A, C, T = contrast.states.shape
        real = trajectory.valid & trajectory.action_valid[:, :T]
        seen = self._seen(trajectory, contrast)
        tokens, exists = policy.state_tokens(seen)
        states, actions = contrast.states.flatten(0, 1), contrast.actions.flatten(0, 1)
        rows = real[contrast.anchors].repeat_interleave(C, 0)
        mixed = Trajectory(
            instructions=("",) * (A * C),  # are not read: the prompts are given
            states={name: _at(values, states) for name, values in seen.states.items()},
            images={},
            valid=rows,
            actions=_at(torch.cat([trajectory.actions[:, :T], perturbed[:, :T]]), actions),
            action_valid=rows,
        )
        if (reference := policy.reference(trajectory)) is not None and (other := policy.reference(mixed)) is not None:
            # An action stays as it was seen from its own state: from another it would lie outside its range.
            mixed = replace(mixed, actions=mixed.actions - _at(reference.repeat(2, 1, 1), actions) + other)
        prompts = self._prompts(policy, trajectory, contrast, C)
        placed = _at(tokens, states), exists.flatten(0, 1)[states]
        _, last = policy.encode(mixed, states=placed, prompts=prompts)
        return self.head(last, rows).unflatten(0, (A, C))

    def _seen(self, trajectory: Trajectory, contrast: Contrast) -> Trajectory:
        """Give the states that are used: some as they are, some augmented."""
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
        return augmented(seen, self.config.augmentation, after=contrast.originals, together=True)

    def _prompts(self, policy: TrajectoryEncoder, trajectory: Trajectory, contrast: Contrast, C: int) -> PromptTokens:
        first = list(contrast.first_prompts)
        pictures = None if trajectory.pictures is None else trajectory.pictures[first]
        instructions = tuple(trajectory.instructions[row] for row in first)
        prompt, valid = policy.prompt_tokens(instructions, pictures)
        return PromptTokens(tokens=prompt, valid=valid, index=contrast.prompts.repeat_interleave(C))

    def _changed_bins(
        self, policy: TrajectoryEncoder, trajectory: Trajectory, perturbed: Float[Tensor, "B _ N"]
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Give the share of actions, of the dimensions that are perturbed, whose bin is another."""
        if not isinstance(policy.actions, DiscreteActions):
            return {}
        T = trajectory.num_timesteps
        before, after = trajectory.actions[:, :T], perturbed[:, :T]
        if (reference := policy.reference(trajectory)) is not None:
            before, after = before - reference, after - reference
        counted = (trajectory.valid & trajectory.action_valid[:, :T])[..., None] & (self.perturb.deviation > 0)
        changed = (policy.actions.bins(before) != policy.actions.bins(after)) & counted
        return {"bins_changed": changed.sum() / counted.sum().clamp(min=1)}


def _at(values: Shaped[Tensor, "P T *F"], places: Int64[Tensor, "R T"]) -> Shaped[Tensor, "R T *F"]:
    """Gather by place; the gradient of what is gathered often is summed in one go."""
    return F.embedding(places, values.flatten(0, 1).flatten(1)).view(*places.shape, *values.shape[2:])
