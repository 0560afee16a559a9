"""Gradient interference: how strongly, and in which directions, the two losses of a contrastive run pull the weights.

Adam divides a weight's step by the size of its gradients, most of which is the noise of single batches; the direction
of learning is that of the mean gradient. A contrastive loss can have a large gradient per batch and a small mean.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from astra.analysis.split import check_same_spec, read_run_config
from astra.augmentation.object_order import shuffle_objects
from astra.augmentation.state_noise import add_state_noise
from astra.contrastive_dynamics.objective import ContrastiveDynamics
from astra.datasets import LeRobotDataset, Windows
from astra.policies.checkpoint import fill, load_policy, policy_folder
from astra.policies.policy import Policy
from astra.storage.config_json import from_json
from astra.storage.tensor_files import load_tensors, recorded_checksums
from astra.training.budget import Budget
from astra.training.config import TrainingConfig
from astra.training.objective import Objective
from astra.training.run_state import CONTRASTIVE, WEIGHTS, read_state
from astra.trajectory import Trajectory

ALL = "all"
"""Name of the part that is the whole policy."""
GROUPS = 8
"""Number of groups of batches; products of sums of two different groups are free of batch noise."""
MIN_STANDARD_ERRORS = 2.0
"""Number of standard errors above 0 that a squared norm must have to be reported."""


@dataclass(frozen=True, kw_only=True)
class GradientNorms:
    """Norms of one loss's gradient at a part of the weights."""

    batch: float
    """Root mean square of the norm of a single batch's gradient, which is mostly noise."""
    mean: float | None
    """Norm of the mean gradient, without that noise; None if the batches are too few to tell it from 0."""


@dataclass(frozen=True, kw_only=True)
class GradientInterference:
    """Gradients of both losses at a part of the weights."""

    part: str
    """Name of the part."""
    behavior_cloning: GradientNorms
    """Norms of the gradient of L_BC."""
    contrastive: GradientNorms
    """Norms of the gradient of alpha L_CDL."""
    contrastive_share: float
    """Share of the contrastive loss in the sum of both squared norms per batch."""
    cosine: float | None
    """Estimated cosine between both mean gradients; None if the norm of one of them is None."""
    cosine_error: float | None
    """Standard error of the cosine, by jackknife over the groups of batches."""


@dataclass(frozen=True, kw_only=True)
class ContrastiveRun:
    """Contrastive run at a checkpoint, with the weights in training, not their EMA."""

    policy: Policy[Any]
    contrastive: ContrastiveDynamics
    training: TrainingConfig
    update: int
    alpha: float
    """Weight of the contrastive loss at this update."""


def load_contrastive_run(checkpoint: Path) -> ContrastiveRun:
    """Load a run at its last checkpoint, or at a given one.

    Raises:
        FileNotFoundError: if there is no checkpoint with the training state, or no run around it.
        ValueError: if the run had no contrastive loss, it has no weight at this checkpoint, or a file is damaged or of
            another checkpoint.
    """
    folder = policy_folder(checkpoint).resolve().parent
    path, config = read_run_config(folder)
    state = folder / "training_state"
    if not state.is_dir():
        raise FileNotFoundError(f"{folder} has no training_state: give a run, or one of its checkpoints")
    training = from_json(TrainingConfig, config["training"], f"{path}: training")
    if training.contrastive is None:
        raise ValueError(f"{checkpoint} was trained without a contrastive loss: give a run trained with --contrast")
    kept = read_state(state / "state.json")
    budget = Budget(updates=training.updates, max_minutes=training.max_minutes, **kept["budget"])
    alpha = training.contrastive.weight_at(budget.share())
    if not alpha:
        raise ValueError(
            f"the contrastive loss has no weight at update {budget.update} of {checkpoint} (contrastive.begin and "
            f"contrastive.fade): give a checkpoint of the run in which it has some"
        )
    policy = load_policy(folder)
    weights, head = state / WEIGHTS, state / CONTRASTIVE
    checksums = recorded_checksums(kept, state / "state.json")
    fill(policy, {**policy.state_dict(), **load_tensors(weights, checksums)}, str(weights))
    contrastive = ContrastiveDynamics(training.contrastive, policy)
    fill(contrastive, load_tensors(head, checksums), str(head))
    return ContrastiveRun(policy=policy, contrastive=contrastive, training=training, update=budget.update, alpha=alpha)


def draw_batches(
    run: ContrastiveRun, dataset: LeRobotDataset, episodes: Sequence[int], count: int, seed: int = 0
) -> Iterable[Trajectory]:
    """Draw batches of the run's batch size from some episodes; the windows of a batch do not overlap.

    Raises:
        ValueError: if the dataset does not have the policy's states, images, objects and actions.
    """
    check_same_spec(run.policy, dataset)
    timesteps, chunk_size = run.training.timesteps, run.policy.chunk_size
    ending = run.training.last_timestep_only
    windows = Windows(dataset, episodes, timesteps=timesteps, chunk_size=chunk_size, stride=timesteps, ending=ending)
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = min(run.training.batch_size, len(windows))
        batch = windows.batch(rng.choice(len(windows), size, replace=False))
        batch = add_state_noise(batch, run.policy.statistics, run.training.state_noise)
        yield shuffle_objects(batch) if run.training.shuffle_objects else batch


def gradient_interference(
    run: ContrastiveRun, batches: Iterable[Trajectory], seed: int = 0
) -> tuple[list[GradientInterference], Mapping[str, float]]:
    """Compute both gradients on every batch.

    Args:
        run: Contrastive run.
        batches: Batches on the CPU, at least as many as there are groups.
        seed: Seed of dropout, augmentation and negatives.

    Returns:
        The result of each part, the whole policy last, and means of the contrastive metrics.

    Raises:
        ValueError: if there are too few batches.
    """
    behavior_cloning = Objective(run.policy, None, run.training.augmentation).train()
    run.contrastive.train()
    weights = {name: weight for name, weight in run.policy.named_parameters() if weight.requires_grad}
    trained, places = list(weights.values()), _places(weights)
    sums = torch.zeros(GROUPS, 2, places[ALL].stop)
    squares, metrics = defaultdict[str, list[Tensor]](list), defaultdict[str, list[float]](list)
    torch.manual_seed(seed)
    for index, batch in enumerate(batches):
        contrastive_loss, values = run.contrastive(run.policy, batch, run.contrastive.config.draw(batch))
        losses = behavior_cloning(batch).loss, run.alpha * contrastive_loss
        for loss, group in zip(losses, sums[index % GROUPS], strict=True):
            gradient = _gradient(loss, trained)
            group += gradient
            for part, place in places.items():
                squares[part].append(gradient[place].square().sum())
        for name, value in values.items():
            metrics[name].append(float(value))
    count = len(squares[ALL]) // 2
    if count < GROUPS:
        raise ValueError(f"got {count} batches, expected at least {GROUPS}, to separate mean gradients from noise")
    sizes = torch.tensor([len(range(group, count, GROUPS)) for group in range(GROUPS)], dtype=torch.float64)
    results = []
    for part, place in places.items():
        of_part = sums[..., place].flatten(0, 1).double()
        products = (of_part @ of_part.T).view(GROUPS, 2, GROUPS, 2)
        results.append(_interference(part, torch.stack(squares[part]).view(count, 2).mean(0), products, sizes))
    return results, {name: float(np.mean(values)) for name, values in metrics.items()}


def _gradient(loss: Tensor, weights: Sequence[Tensor]) -> Float[Tensor, " W"]:
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def _places(weights: Mapping[str, Tensor]) -> dict[str, slice]:
    """Return the range of each part's weights in the concatenated gradient; the whole policy is last."""
    places, first = dict[str, slice](), 0
    for name, weight in weights.items():
        part, end = name.partition(".")[0], first + weight.numel()
        before = places.get(part, slice(first, first))
        assert before.stop == first, f"the weights of {part} are not contiguous"
        places[part] = slice(before.start, end)
        first = end
    return {**places, ALL: slice(0, first)}


def _interference(
    part: str,
    squares: Float[Tensor, "2"],
    products: Float64[Tensor, "groups 2 groups 2"],
    sizes: Float64[Tensor, " groups"],
) -> GradientInterference:
    """Estimate norms and cosine of a part's gradients from the products of the sums of its groups of batches."""
    estimate = _products_of_means(products, sizes)
    kept = [torch.arange(len(sizes)) != group for group in range(len(sizes))]
    without = torch.stack([_products_of_means(products[keep][:, :, keep], sizes[keep]) for keep in kept])
    error = _jackknife(without)
    norms = [
        float(estimate[n, n].sqrt()) if estimate[n, n] > MIN_STANDARD_ERRORS * error[n, n] else None for n in range(2)
    ]
    cosine = cosine_error = None
    if None not in norms:
        cosine = float(estimate[0, 1] / (estimate[0, 0] * estimate[1, 1]).sqrt())
        smallest = torch.finfo(without.dtype).tiny
        norm_products = (without[:, 0, 0] * without[:, 1, 1]).clamp(min=smallest).sqrt()
        cosine_error = float(_jackknife(without[:, 0, 1] / norm_products))
    batch = squares.sqrt().tolist()
    return GradientInterference(
        part=part,
        behavior_cloning=GradientNorms(batch=batch[0], mean=norms[0]),
        contrastive=GradientNorms(batch=batch[1], mean=norms[1]),
        contrastive_share=float(squares[1] / squares.sum().clamp(min=torch.finfo(squares.dtype).tiny)),
        cosine=cosine,
        cosine_error=cosine_error,
    )


def _products_of_means(
    products: Float64[Tensor, "groups 2 groups 2"], sizes: Float64[Tensor, " groups"]
) -> Float64[Tensor, "2 2"]:
    """Estimate the dot products of both mean gradients, from pairs of different groups only."""
    within = products.diagonal(dim1=0, dim2=2).sum(-1)
    return (products.sum((0, 2)) - within) / (sizes.sum().square() - sizes.square().sum())


def _jackknife(without: Float64[Tensor, "groups *values"]) -> Float64[Tensor, "*values"]:
    """Return the standard error of a value, from its estimates with one group left out."""
    groups = len(without)
    return ((without - without.mean(0)).square().sum(0) * (groups - 1) / groups).sqrt()
