"""How hard, and which way, the two losses of a run pull at its weights: behaviour cloning, and the contrast beside it.

The optimiser divides a weight's step by the size of its gradients. A contrast that pulls as hard as cloning does, and
another way, therefore slows cloning down, however small its loss has become.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from astra.contrastive_dynamics.objective import ContrastiveDynamics
from astra.datasets import LeRobotDataset, Windows
from astra.experiments.split import check_fits
from astra.policies.checkpoint import fill, load_policy, load_tensors, policy_folder
from astra.policies.config_json import from_json
from astra.policies.sequence import SequencePolicy
from astra.training.objective import Objective
from astra.training.run_state import CONTRASTIVE
from astra.training.train import TrainingConfig
from astra.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class Pull:
    """The gradients of both losses at a part of the weights."""

    part: str
    cloning: float
    """Mean norm over batches of the gradient of L_BC."""
    contrast: float
    """Mean norm over batches of the gradient of alpha L_CDL."""
    share: float
    """What the contrast has in the sum of both squared norms."""
    cosine: float
    """Between the means of both over all batches, between -1 and 1; 0 where one of them does not pull."""


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
    timesteps, horizon = run.training.timesteps, run.policy.horizon
    windows = Windows(dataset, episodes, timesteps=timesteps, horizon=horizon, stride=timesteps)
    chance = np.random.default_rng(seed)
    for _ in range(count):
        yield windows.batch(chance.choice(len(windows), min(run.training.batch_size, len(windows)), replace=False))


def pulls(run: Opened, batches: Iterable[Trajectory], seed: int = 0) -> tuple[list[Pull], Mapping[str, float]]:
    """Compute both gradients on every batch; give them by part, the whole last, and means of the contrast's metrics.

    Args:
        run: as it was.
        batches: on the CPU.
        seed: of dropout, augmentation and the negatives.
    """
    cloned = Objective(run.policy, None, run.training.augmentation).train()
    run.contrastive.train()
    weights = {name: weight for name, weight in run.policy.named_parameters() if weight.requires_grad}
    found, metrics = [], defaultdict[str, list[float]](list)
    torch.manual_seed(seed)
    for batch in batches:
        contrast, told = run.contrastive(run.policy, batch, run.contrastive.config.draw(batch))
        losses = cloned(batch).loss, run.contrastive.config.weight * contrast
        found.append(torch.stack([_gradient(loss, list(weights.values())) for loss in losses]))
        for name, value in told.items():
            metrics[name].append(float(value))
    both = torch.stack(found, dim=1)
    places = _places(weights)
    parts = [_pull(name, both[..., place]) for name, place in places.items()]
    return [*parts, _pull("all", both)], {name: float(np.mean(values)) for name, values in metrics.items()}


def _gradient(loss: Tensor, weights: Sequence[Tensor]) -> Float[Tensor, " W"]:
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def _places(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tell where the weights of each part of the policy lie, end to end."""
    parts, first = defaultdict[str, list[Tensor]](list), 0
    for name, weight in weights.items():
        parts[name.partition(".")[0]].append(torch.arange(first, first + weight.numel()))
        first += weight.numel()
    return {part: torch.cat(places) for part, places in parts.items()}


def _pull(part: str, both: Float[Tensor, "2 batches W"]) -> Pull:
    norms = both.norm(dim=-1)
    cloning, contrast = both.mean(1)
    squares = norms.square().sum(1)
    return Pull(
        part=part,
        cloning=float(norms[0].mean()),
        contrast=float(norms[1].mean()),
        share=float(squares[1] / squares.sum().clamp(min=torch.finfo(squares.dtype).tiny)),
        cosine=float(torch.nn.functional.cosine_similarity(cloning, contrast, dim=0)),
    )
