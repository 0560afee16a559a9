"""A tiny world for the tests of evaluation: a point on a line that must reach the goal which it is told."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from astra.environments.environment import Environment, EnvironmentObservation
from astra.policies.policy import Losses, Policy, PolicyConfig
from astra.trajectory import ActionSpec, Observation, Statistics, Trajectory, TrajectorySpec, VectorStatistics

SPEC = TrajectorySpec(
    states={"observation.state": 1},
    images={"observation.image": (4, 6)},
    actions=ActionSpec(names=("x",), low=(-1.0,), high=(1.0,)),
    instructions=("left", "right"),
)


class Line(Environment):
    """Starts near 0; `right` is at +2, `left` at -2; ends there, or after 12 timesteps."""

    spec_of_trajectories = SPEC
    max_timesteps = 12

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start near the middle; seeds differ in where and so in how long the way is."""
        super(Environment, self).reset(seed=seed)
        self.goal = (options or {}).get("goal", 2.0)
        self.task, self.instruction = ("reach right", "right") if self.goal > 0 else ("reach left", "left")
        self.x, self.clock = float(self.np_random.uniform(-1, 1)), 0
        return self._observation(), self._info()

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move by the action."""
        self.x, self.clock = self.x + float(action[0]), self.clock + 1
        info = self._info()
        return self._observation(), info["scores"]["near"], info["is_success"], self.clock == self.max_timesteps, info

    def no_op_action(self) -> np.ndarray:
        """Stand still."""
        return np.zeros(1)

    def frame(self) -> np.ndarray:
        """Paint where the point is, in an odd size."""
        picture = np.full((33, 45, 3), 30, np.uint8)
        column = int(np.clip((self.x + 3) / 6, 0, 1) * 44)
        picture[:, max(column - 3, 0) : column + 4] = (60, 160, 220)
        return picture

    def _observation(self) -> EnvironmentObservation:
        image = np.zeros((4, 6, 3), np.uint8)
        image[..., 0] = self.clock
        return {"observation.state": np.array([self.x], np.float32), "observation.image": image}

    def _info(self) -> dict[str, Any]:
        distance = abs(self.x - self.goal)
        return {"is_success": distance < 0.45, "scores": {"near": max(0.0, 1 - distance / 4)}}


class Chain(Line):
    """Goals one after the other: the instruction changes when one is reached, and the world goes on."""

    max_timesteps = 40
    task = "chain"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start near the middle with the first of the goals in the option `chain`."""
        self.chain = list((options or {}).get("chain", (2.0, -2.0, 2.0)))
        self.solved = 0
        observation, info = super().reset(seed=seed, options={"goal": self.chain[0]})
        self.task = "chain"
        return observation, self._outcome(info)

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move by the action; go on to the next goal where one is reached."""
        observation, reward, reached, truncated, info = super().step(action)
        self.solved += reached
        if reached and self.solved < len(self.chain):
            self.goal = self.chain[self.solved]
            self.instruction = "right" if self.goal > 0 else "left"
        return observation, reward, self.solved == len(self.chain), truncated, self._outcome(info)

    def _outcome(self, info: dict[str, Any]) -> dict[str, Any]:
        return {"is_success": self.solved == len(self.chain), "scores": {"solved": self.solved}}


class Brief(Line):
    """Succeeds when the goal is reached, but the episode goes on: success at the end is another matter."""

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move by the action, without an early end."""
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, False, truncated, info


class WalkerConfig(PolicyConfig):
    """Configuration without options."""

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "Walker":
        """Make the policy; the data do not matter."""
        del spec, statistics
        return Walker()


class Walker(Policy[Any]):
    """Walks to the goal of its instruction, with noise of each environment's generator; keeps its observations."""

    def __init__(self, step: float = 0.4, history: int = Line.max_timesteps) -> None:
        """Make the policy; a longer history is an error."""
        super().__init__()
        self.history = history
        self.config, self.spec = WalkerConfig(), SPEC
        vector = VectorStatistics(mean=torch.zeros(1), std=torch.ones(1), min=-torch.ones(1), max=torch.ones(1))
        self.statistics = Statistics(states={"observation.state": vector}, actions=vector)
        self.step = nn.Parameter(torch.tensor(step))
        self.shown: list[Observation] = []

    def loss(self, trajectory: Trajectory) -> Losses:
        """Not trained."""
        raise NotImplementedError

    def start_rollouts(self, instructions: Any, seeds: Any, pictures: Any) -> Any:
        """Remember direction, generator and clock of each environment."""
        return [_Memory(*pair) for pair in zip(instructions, seeds, strict=True)]

    def restart_rollouts(
        self, state: Any, where: Bool[Tensor, " B"], instructions: Any, seeds: Any, pictures: Any
    ) -> Any:
        """Reset where told."""
        new = iter([_Memory(*pair) for pair in zip(instructions, seeds, strict=True)])
        after = [next(new) if again else memory for memory, again in zip(state, where, strict=True)]
        assert next(new, None) is None
        return after

    def choose_action(self, state: Any, observation: Observation) -> tuple[Float[Tensor, "B N"], Any]:
        """Step towards the goal."""
        assert not torch.is_grad_enabled()
        assert not self.training
        self.shown.append(observation)
        return torch.stack([memory.walk(self.step, self.history) for memory in state]), state


class _Memory:
    def __init__(self, instruction: str, seed: int) -> None:
        self.direction = {"left": -1, "right": 1}[instruction]
        self.generator = torch.Generator().manual_seed(seed)
        self.clock = 0

    def walk(self, step: Tensor, history: int) -> Tensor:
        self.clock += 1
        assert self.clock <= history, "a history outgrew an episode"
        return self.direction * step + 0.1 * torch.randn(1, generator=self.generator)


class Guide:
    """An expert: one long step to the goal, which the bounds cut."""

    def __init__(self, seed: int) -> None:
        """Make the expert of one episode."""
        self.alive = True

    def act(self, environment: Line) -> np.ndarray:
        """Go to the goal."""
        assert self.alive, "an expert is not asked after the end of its episode"
        self.alive = abs(environment.x - environment.goal) > 1.25
        return np.array([environment.goal - environment.x])
