"""Cost of contrastive dynamics learning: updates of Astra (19M) with it, against behavior cloning alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.objective import ContrastiveConfig, ContrastiveDynamics
from astra.datasets import LeRobotDataset, Windows, compute_statistics
from astra.policies.astra import AstraConfig
from astra.policies.policy import Policy
from astra.profiling.clock import in_turn, median_ratio, one_thread
from astra.profiling.lower_bound import minimum_contrast_operations, minimum_operations
from astra.profiling.processes import L, M, N, random_demonstrations
from astra.profiling.shapes import Measurement, Ratio, Shape
from astra.training.objective import Objective
from astra.training.optimizer import build_optimizer
from astra.trajectory import Trajectory

EVERY_ANCHOR = ContrastiveConfig(cdl_fraction=1.0, negatives=4)
"""The paper's objective as far as its text tells: on every trajectory of a batch."""


def benchmark_contrast(shape: Shape, rounds: int = 3) -> Measurement:
    """Time updates with and without contrastive learning in turn, and return the medians of their ratios.

    Raises:
        ValueError: if the sizes of a prompt or a timestep differ from those of the demonstrations made here.
    """
    if (shape.L, shape.M, shape.N) != (L, M, N):
        raise ValueError(f"this benchmark needs --L {L} --M {M} --N {N}, got {shape.L}, {shape.M} and {shape.N}")
    objectives = {"cloning": None, "default": ContrastiveConfig(), "every": EVERY_ANCHOR}
    with one_thread():
        sides = _updates(shape, objectives)
        seconds = in_turn(sides, rounds, label=f"updates, {shape.where}")
    default, every = (median_ratio(seconds[name], seconds["cloning"]) for name in ("default", "every"))
    bound = 1 + minimum_contrast_operations(shape, EVERY_ANCHOR) / minimum_operations(shape)
    ratios = [
        Ratio(name=f"default update / cloning alone, {shape.where}", ratio=default, must=2.2, aim=2.0, better="lower"),
        Ratio(name=f"update with 4 negatives of every trajectory / cloning alone, {shape.where}", ratio=every),
        Ratio(name=f"the same, lower bound of operations, {shape.where}", ratio=bound),
        Ratio(name="measured / lower bound", ratio=every / bound, must=1.2, aim=1.1, better="lower"),
    ]
    return Measurement(ratios=ratios, curves=[], notes=[])


def update_by(
    policy: Policy[Any],
    batches: Callable[[], list[Trajectory]],
    contrastive: ContrastiveConfig | None = None,
    augmentation: AugmentationConfig | None = None,
) -> Callable[[], None]:
    """Build a function that trains a policy for one update.

    Args:
        policy: policy to train.
        batches: function that returns the micro-batches of the next update.
        contrastive: contrastive objective besides cloning; None: cloning alone.
        augmentation: augmentation of the images that cloning sees; None: none.
    """
    dynamics = None if contrastive is None else ContrastiveDynamics(contrastive, policy)
    objective = Objective(policy, dynamics, augmentation).train()
    optimizer = build_optimizer(policy, dynamics, learning_rate=1e-4, weight_decay=0.1, betas=(0.9, 0.95))

    def update() -> None:
        for batch in batches():
            cost = objective(batch, None if contrastive is None else contrastive.draw(batch))
            (cost.loss * cost.count).backward()
        optimizer.step()
        optimizer.zero_grad()

    return update


def _demonstrations(shape: Shape) -> LeRobotDataset:
    """Build one episode per trajectory, each with its own instruction."""
    dataset = random_demonstrations(shape.B, shape.T)
    words = dataset.spec.instructions[0].split()
    rotated = [" ".join(words[number:] + words[:number]) for number in range(len(words))]
    instructions = tuple(rotated[number % len(rotated)] for number in range(shape.B))
    return replace(dataset, spec=replace(dataset.spec, instructions=tuple(rotated)), instructions=instructions)


def _updates(shape: Shape, objectives: dict[str, ContrastiveConfig | None]) -> dict[str, Callable[[], None]]:
    """Build an update of each objective, on the same trajectories, each from its own episode with its own prompt."""
    dataset = _demonstrations(shape)
    windows, statistics = Windows(dataset, timesteps=shape.T, stride=shape.T), compute_statistics(dataset)
    config = AstraConfig(layers=shape.layers, heads=shape.heads, width=shape.width)

    def make(contrastive: ContrastiveConfig | None) -> Callable[[], None]:
        torch.manual_seed(0)
        policy = config.build(windows.spec, statistics)
        return update_by(policy, lambda: [windows.batch(np.arange(shape.B))], contrastive)

    return {name: make(contrastive) for name, contrastive in objectives.items()}
