"""What contrastive dynamics learning costs: updates of Astra (19M) with it against those of behavior cloning alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from astra.attention.masks import split_mask
from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.objective import ContrastiveConfig, ContrastiveDynamics
from astra.datasets import LeRobotDataset, Windows, compute_statistics
from astra.policies.astra import AstraConfig
from astra.policies.policy import Policy
from astra.profiling.clock import in_turn, median_ratio, one_thread
from astra.profiling.floor import fewest_operations
from astra.profiling.processes import L, M, N, random_demonstrations
from astra.profiling.shapes import Measurement, Ratio, Shape
from astra.training.objective import Objective
from astra.training.optimizer import build_optimizer
from astra.trajectory import Trajectory

EVERY_ANCHOR = ContrastiveConfig(cdl_fraction=1.0, negatives=4)
"""The paper's objective, as far as its text tells: on every trajectory of a batch."""


def benchmark_contrast(shape: Shape, rounds: int = 3) -> Measurement:
    """Time updates in turn; the median of the ratios counts.

    Raises:
        ValueError: if the sizes of a prompt or a timestep are others than those of the demonstrations made here.
    """
    if (shape.L, shape.M, shape.N) != (L, M, N):
        raise ValueError(
            f"this benchmark has L{L} M{M} N{N}, got L{shape.L} M{shape.M} N{shape.N}: change T, B or sizes"
        )
    objectives = {"cloning": None, "default": ContrastiveConfig(), "every": EVERY_ANCHOR}
    with one_thread():
        sides = _updates(shape, objectives)
        seconds = in_turn(sides, rounds, label=f"updates, {shape.where}")
    default, every = (median_ratio(seconds[name], seconds["cloning"]) for name in ("default", "every"))
    floor = 1 + contrast_operations(shape, EVERY_ANCHOR) / fewest_operations(shape)
    ratios = [
        Ratio(
            name=f"update by default / cloning alone, {shape.where}", ratio=default, must=2.2, aim=2.0, better="lower"
        ),
        Ratio(name=f"update with 4 negatives of every trajectory / cloning alone, {shape.where}", ratio=every),
        Ratio(name=f"the same, by its fewest operations, {shape.where}", ratio=floor),
        Ratio(name="measured / by its fewest operations", ratio=every / floor, must=1.2, aim=1.1, better="lower"),
    ]
    return Measurement(ratios=ratios, curves=[], notes=[])


def contrast_operations(shape: Shape, config: ContrastiveConfig) -> float:
    """Count what the contrast cannot do without, as `fewest_operations` counts for behavior cloning.

    Candidates have no queries, all of an anchor read one encoding of its prompt, and in the last layer only the action
    tokens of the last timestep are more than keys and values.
    """
    _, _, allowed = split_mask(shape.L, shape.M, shape.N, shape.T, 0, actions=shape.T)
    D, context = shape.width, allowed.shape[0]
    full, asking, read_only = 24 * D**2, 20 * D**2, 4 * D**2
    anchors = max(1, round(config.cdl_fraction * shape.B))
    candidates = anchors * (2 + config.negatives)
    layer = candidates * (context * full + 4 * D * int(allowed.sum())) + anchors * (shape.L * full + 4 * D * shape.L**2)
    last = candidates * (context * read_only + shape.N * asking + 4 * D * int(allowed[-shape.N :].sum()))
    last += anchors * shape.L * read_only
    return 3.0 * ((shape.layers - 1) * layer + last)


def update_by(
    policy: Policy[Any],
    batches: Callable[[], list[Trajectory]],
    contrastive: ContrastiveConfig | None = None,
    augmentation: AugmentationConfig | None = None,
) -> Callable[[], None]:
    """Make a call that trains a policy by one update.

    Args:
        policy: that is trained.
        batches: gives the micro-batches of the next update.
        contrastive: what it learns by besides cloning; None: nothing.
        augmentation: of what cloning sees; None: none.
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
    """Make an episode per trajectory, each told something else."""
    dataset = random_demonstrations(shape.B, shape.T)
    words = dataset.spec.instructions[0].split()
    told = [" ".join(words[number:] + words[:number]) for number in range(len(words))]
    instructions = tuple(told[number % len(told)] for number in range(shape.B))
    return replace(dataset, spec=replace(dataset.spec, instructions=tuple(told)), instructions=instructions)


def _updates(shape: Shape, objectives: dict[str, ContrastiveConfig | None]) -> dict[str, Callable[[], None]]:
    """Make an update by each objective, on the same trajectories of as many episodes, each with a prompt of its own."""
    dataset = _demonstrations(shape)
    windows, statistics = Windows(dataset, timesteps=shape.T, stride=shape.T), compute_statistics(dataset)
    config = AstraConfig(layers=shape.layers, heads=shape.heads, width=shape.width)

    def make(contrastive: ContrastiveConfig | None) -> Callable[[], None]:
        torch.manual_seed(0)
        policy = config.build(windows.spec, statistics)
        return update_by(policy, lambda: [windows.batch(np.arange(shape.B))], contrastive)

    return {name: make(contrastive) for name, contrastive in objectives.items()}
