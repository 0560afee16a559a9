"""How hard, and which way, the two losses of a run pull at its weights: behavior cloning, and the contrast beside it.

The optimizer divides a weight's step by the size of its gradients, most of which is the noise of a batch; where steps
lead is told by what is left in the mean, the drift. A contrast can have little of the first and much of the second.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from astra.analysis.split import check_fits
from astra.augmentation.object_order import with_objects_in_any_order
from astra.augmentation.state_noise import with_state_noise
from astra.contrastive_dynamics.objective import ContrastiveDynamics
from astra.datasets import LeRobotDataset, Windows
from astra.policies.checkpoint import fill, load_policy, load_tensors, policy_folder
from astra.policies.sequence import SequencePolicy
from astra.storage.config_json import from_json
from astra.training.config import TrainingConfig
from astra.training.objective import Objective
from astra.training.run_state import CONTRASTIVE
from astra.trajectory import Trajectory

ALL = "all"
"""The part that is the whole policy."""
GROUPS = 8
"""Batches are summed in so many groups: products of two of them are free of the noise that both have in common."""
RESOLVED = 2.0
"""So many standard errors above 0 a squared norm must lie to be told."""


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """What one loss does at a part of the weights."""

    batch: float
    """Norm of the gradient of one batch, the root of its mean square; most of it is noise."""
    drift: float | None
    """Norm of its mean over all batches, free of that noise; None where too few of them tell it from 0."""


@dataclass(frozen=True, kw_only=True)
class Pull:
    """The gradients of both losses at a part of the weights."""

    part: str
    cloning: Gradient
    """Of L_BC."""
    contrast: Gradient
    """Of alpha L_CDL."""
    share: float
    """What the contrast has in the sum of both squares of a batch's norm, by which the optimizer divides."""
    cosine: float | None
    """Between both drifts, between -1 and 1 but for its error; None where one of them is."""
    cosine_error: float | None
    """Its standard error, by leaving out one group of batches after the other."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A run as it was at a checkpoint: its weights in training, not their average."""

    policy: SequencePolicy
    contrastive: ContrastiveDynamics
    training: TrainingConfig
    update: int


def open_run(checkpoint: Path) -> Opened:
    """Open a run, or one of its checkpoints.

    Raises:
        FileNotFoundError: if it holds no checkpoint with the state of training.
        ValueError: if it did not learn by contrast.
    """
    folder = policy_folder(checkpoint).resolve().parent
    config = folder.parents[1] / "config.json"
    if not (folder / "training_state").is_dir() or not config.is_file():
        raise FileNotFoundError(f"{checkpoint} is a policy without its run: give the run, or one of its checkpoints")
    training = from_json(TrainingConfig, json.loads(config.read_text())["training"], f"{config}: training")
    if training.contrastive is None:
        raise ValueError(f"{checkpoint} did not learn by contrast: give a run that was trained with --contrast")
    policy = load_policy(folder)
    assert isinstance(policy, SequencePolicy)
    weights = folder / "training_state" / "weights.safetensors"
    fill(policy, {**policy.state_dict(), **load_tensors(weights)}, str(weights))
    contrastive = ContrastiveDynamics(training.contrastive, policy)
    head = folder / "training_state" / CONTRASTIVE
    fill(contrastive, load_tensors(head), str(head))
    return Opened(policy=policy, contrastive=contrastive, training=training, update=int(folder.name))


def batches_of(
    run: Opened, dataset: LeRobotDataset, episodes: Sequence[int], count: int, seed: int = 0
) -> Iterable[Trajectory]:
    """Draw batches as large as an update's out of some episodes; windows of one do not overlap.

    Raises:
        ValueError: if the demonstrations are not of what the policy sees and does.
    """
    check_fits(run.policy, dataset)
    timesteps, chunk_size = run.training.timesteps, run.policy.chunk_size
    windows = Windows(dataset, episodes, timesteps=timesteps, chunk_size=chunk_size, stride=timesteps)
    chance = np.random.default_rng(seed)
    for _ in range(count):
        size = min(run.training.batch_size, len(windows))
        drawn = windows.batch(chance.choice(len(windows), size, replace=False))
        drawn = with_state_noise(drawn, run.policy.statistics, run.training.state_noise)
        yield with_objects_in_any_order(drawn) if run.training.shuffle_objects else drawn


def pulls(run: Opened, batches: Iterable[Trajectory], seed: int = 0) -> tuple[list[Pull], Mapping[str, float]]:
    """Compute both gradients on every batch; give them by part, the whole last, and means of the contrast's metrics.

    Args:
        run: as it was.
        batches: on the CPU, as many as there are groups at least.
        seed: of dropout, augmentation and the negatives.

    Raises:
        ValueError: if there are too few batches.
    """
    cloned = Objective(run.policy, None, run.training.augmentation).train()
    run.contrastive.train()
    weights = {name: weight for name, weight in run.policy.named_parameters() if weight.requires_grad}
    trained, places = list(weights.values()), _places(weights)
    sums = torch.zeros(GROUPS, 2, places[ALL].stop)
    squares, metrics = defaultdict[str, list[Tensor]](list), defaultdict[str, list[float]](list)
    torch.manual_seed(seed)
    for number, batch in enumerate(batches):
        contrast, told = run.contrastive(run.policy, batch, run.contrastive.config.draw(batch))
        losses = cloned(batch).loss, run.contrastive.config.weight * contrast
        for loss, group in zip(losses, sums[number % GROUPS], strict=True):
            gradient = _gradient(loss, trained)
            group += gradient
            for part, place in places.items():
                squares[part].append(gradient[place].square().sum())
        for name, value in told.items():
            metrics[name].append(float(value))
    count = len(squares[ALL]) // 2
    if count < GROUPS:
        raise ValueError(f"got {count} batches, expected at least {GROUPS}, so that noise can be told from drift")
    sizes = torch.tensor([len(range(group, count, GROUPS)) for group in range(GROUPS)], dtype=torch.float64)
    found = []
    for part, place in places.items():
        ours = sums[..., place].flatten(0, 1).double()
        products = (ours @ ours.T).view(GROUPS, 2, GROUPS, 2)
        found.append(_pull(part, torch.stack(squares[part]).view(count, 2).mean(0), products, sizes))
    return found, {name: float(np.mean(values)) for name, values in metrics.items()}


def _gradient(loss: Tensor, weights: Sequence[Tensor]) -> Float[Tensor, " W"]:
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def _places(weights: Mapping[str, Tensor]) -> dict[str, slice]:
    """Tell where the weights of each part of the policy lie, end to end, and last where all do."""
    places, first = dict[str, slice](), 0
    for name, weight in weights.items():
        part, end = name.partition(".")[0], first + weight.numel()
        before = places.get(part, slice(first, first))
        assert before.stop == first, f"the weights of {part} do not lie together"
        places[part] = slice(before.start, end)
        first = end
    return {**places, ALL: slice(0, first)}


def _pull(
    part: str,
    squares: Float[Tensor, "2"],
    products: Float64[Tensor, "groups 2 groups 2"],
    sizes: Float64[Tensor, " groups"],
) -> Pull:
    """Estimate what a part's gradients are, of the products of the sums of its groups of batches."""
    whole = _products_of_means(products, sizes)
    kept = [torch.arange(len(sizes)) != group for group in range(len(sizes))]
    without = torch.stack([_products_of_means(products[keep][:, :, keep], sizes[keep]) for keep in kept])
    error = _jackknife(without)
    norms = [float(whole[n, n].sqrt()) if whole[n, n] > RESOLVED * error[n, n] else None for n in range(2)]
    cosine = cosine_error = None
    if None not in norms:
        cosine = float(whole[0, 1] / (whole[0, 0] * whole[1, 1]).sqrt())
        floor = torch.finfo(without.dtype).tiny
        init_std = (without[:, 0, 0] * without[:, 1, 1]).clamp(min=floor).sqrt()
        cosine_error = float(_jackknife(without[:, 0, 1] / init_std))
    batch = squares.sqrt().tolist()
    return Pull(
        part=part,
        cloning=Gradient(batch=batch[0], drift=norms[0]),
        contrast=Gradient(batch=batch[1], drift=norms[1]),
        share=float(squares[1] / squares.sum().clamp(min=torch.finfo(squares.dtype).tiny)),
        cosine=cosine,
        cosine_error=cosine_error,
    )


def _products_of_means(
    products: Float64[Tensor, "groups 2 groups 2"], sizes: Float64[Tensor, " groups"]
) -> Float64[Tensor, "2 2"]:
    """Estimate the products of both mean gradients, from pairs of different groups alone."""
    within = products.diagonal(dim1=0, dim2=2).sum(-1)
    return (products.sum((0, 2)) - within) / (sizes.sum().square() - sizes.square().sum())


def _jackknife(without: Float64[Tensor, "groups *values"]) -> Float64[Tensor, "*values"]:
    """Give the standard error of a value, from those with one group left out."""
    groups = len(without)
    return ((without - without.mean(0)).square().sum(0) * (groups - 1) / groups).sqrt()
