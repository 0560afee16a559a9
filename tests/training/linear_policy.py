"""Policy and data for tests of training: small enough to check by hand, with every kind of parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.datasets.windows import Windows
from astra.policies.policy import Losses, Policy, PolicyConfig
from astra.training.config import TrainingConfig
from astra.trajectory import ActionSpec, Observation, Statistics, Trajectory, TrajectorySpec, VectorStatistics

SPEC = TrajectorySpec(
    states={"observation.state": 3},
    actions=ActionSpec(names=("x", "y"), low=(-9.0, -9.0), high=(9.0, 9.0)),
    instructions=("left", "right"),
)
TIMESTEPS = 5


@dataclass(frozen=True, kw_only=True)
class LinearConfig(PolicyConfig):
    width: int = 8
    dropout: float = 0.2

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "LinearPolicy":
        return LinearPolicy(self, spec, statistics)


class LinearPolicy(Policy[None]):
    seen: Tensor

    def __init__(self, config: LinearConfig, spec: TrajectorySpec, statistics: Statistics) -> None:
        super().__init__()
        self.config, self.spec, self.statistics = config, spec, statistics
        self.frozen = nn.Linear(3, config.width).requires_grad_(False)
        self.words = nn.Embedding(2, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.queries = nn.Parameter(torch.randn(2, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.width, 1)
        self.register_buffer("seen", torch.zeros(()))

    def loss(self, trajectory: Trajectory) -> Losses:
        words = torch.tensor([self.spec.instructions.index(words) for words in trajectory.instructions])
        tokens = self.frozen(trajectory.states["observation.state"]) + self.words(words)[:, None]
        hidden = self.dropout(self.norm(tokens))[:, :, None] + self.queries
        error = (self.out(hidden)[..., 0] - trajectory.actions[:, : trajectory.num_timesteps]) ** 2
        count = trajectory.valid.sum() * 2
        if self.training:
            self.seen += 1
        mean = error.masked_fill(~trajectory.valid[..., None], 0).sum() / count
        return Losses(behavior_cloning=mean, metrics={"double": 2 * mean.detach()}, count=count)

    def start_rollouts(self, instructions: Sequence[str], seeds: Sequence[int], pictures: object) -> None:
        raise NotImplementedError

    def restart_rollouts(
        self, state: None, where: Tensor, instructions: Sequence[str], seeds: Sequence[int], pictures: object
    ) -> None:
        raise NotImplementedError

    def choose_action(self, state: None, observation: Observation) -> tuple[Tensor, None]:
        raise NotImplementedError


def statistics() -> Statistics:
    def vector(size: int) -> VectorStatistics:
        return VectorStatistics(
            mean=torch.zeros(size), std=torch.ones(size), min=-9 * torch.ones(size), max=9 * torch.ones(size)
        )

    return Statistics(states={"observation.state": vector(3)}, actions=vector(2))


def windows(*, lengths: Sequence[int] = (4, 7, 9), seed: int = 0) -> Windows:
    generator = np.random.default_rng(seed)
    ends = np.cumsum(lengths)
    states = generator.normal(size=(ends[-1], 3)).astype(np.float32)
    dataset = LeRobotDataset(
        folder=Path("nowhere"),
        spec=SPEC,
        instructions=tuple(SPEC.instructions[i % 2] for i in range(len(lengths))),
        starts=ends - lengths,
        ends=ends,
        columns={"observation.state": states, "action": states[:, :2] + 1},
    )
    return Windows(dataset, timesteps=TIMESTEPS)


def training(**changes: object) -> TrainingConfig:
    settings: dict[str, object] = dict(updates=4, batch_size=6, timesteps=TIMESTEPS)
    settings |= dict(log_every=1, validation_every=2, checkpoint_every=2)
    settings["precision"] = "float32"  # micro-batches and processes round otherwise, which bfloat16 would show
    return TrainingConfig(**(settings | changes))  # pyright: ignore[reportArgumentType]
