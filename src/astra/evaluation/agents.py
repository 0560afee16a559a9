"""Who acts in a rollout, behind one interface: a policy, the floor that does nothing, and a scripted expert."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float

from astra.datasets.episode import OBJECTS, PARTS
from astra.evaluation.episode import RolloutEnv
from astra.objects import Objects, PromptPictures
from astra.policies.policy import Policy
from astra.trajectory import Observation, TrajectorySpec


class Agent(ABC):
    """Acts in B envs at once, each of which plays one episode after another."""

    @abstractmethod
    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Begin with the first episode of every env."""

    @abstractmethod
    def reset(self, envs: Sequence[RolloutEnv], begun: Bool[np.ndarray, " B"]) -> None:
        """Forget the last episode of the envs where `begun` is True; a new one has been reset there."""

    @abstractmethod
    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Choose each env's next action; what is chosen for a env that is not playing is not executed."""


class PolicyAgent(Agent):
    """A policy: of a env it sees the prompt, the observation and the executed action, nothing else."""

    def __init__(self, policy: Policy[Any]) -> None:
        """Make the agent; the policy stays on its device and is asked without gradients, in evaluation mode."""
        self.policy = policy
        self.state: Any = None

    @torch.no_grad()
    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Begin with the first episode of every env."""
        self.policy.eval()
        self.state = self.policy.start(*self._prompts(envs))

    @torch.no_grad()
    def reset(self, envs: Sequence[RolloutEnv], begun: Bool[np.ndarray, " B"]) -> None:
        """Empty the history of the envs told."""
        new = [env for env, again in zip(envs, begun, strict=True) if again]
        mask = torch.from_numpy(begun).to(self._device)
        self.state = self.policy.reset(self.state, mask, *self._prompts(new))

    # `no_grad` and not `inference_mode`: what a frozen encoder remembers here may be needed in training later.
    @torch.no_grad()
    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Choose all envs' next actions in one call of the policy."""
        action, self.state = self.policy.act(self.state, observe(envs, self.policy.spec, self._device))
        return action.double().cpu().numpy()

    def _prompts(self, envs: Sequence[RolloutEnv]) -> tuple[Any, ...]:
        """Give instructions, seeds and, where there are any, pictures."""
        instructions = [env.instruction for env in envs]
        seeds = [env.case.seed for env in envs]
        pictures = PromptPictures.stack(instructions, [env.pictures for env in envs])
        return (instructions, seeds) if pictures is None else (instructions, seeds, pictures.to(self._device))

    @property
    def _device(self) -> torch.device:
        return next(self.policy.parameters(), torch.empty(0)).device


class NoOp(Agent):
    """Does nothing: repeats the environment's neutral action. What a policy scores above it, it has learned."""

    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Remember nothing."""

    def reset(self, envs: Sequence[RolloutEnv], begun: Bool[np.ndarray, " B"]) -> None:
        """Remember nothing."""

    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Return each environment's neutral action."""
        return np.stack([np.asarray(env.environment.no_op_action(), np.float64) for env in envs])


@runtime_checkable
class Expert(Protocol):
    """Solves one episode with full knowledge of the environment."""

    def act(self, environment: Any) -> np.ndarray:
        """Choose the next action for the environment as it stands now."""
        ...


class ExpertAgent(Agent):
    """A fresh scripted expert for every episode, made from the episode's seed."""

    def __init__(self, make_expert: Callable[[int], Expert]) -> None:
        """Make the agent from a function of a seed, such as the expert's class."""
        self.make_expert = make_expert
        self.experts: list[Expert] = []

    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Make one expert per env."""
        self.experts = [self.make_expert(env.case.seed) for env in envs]

    def reset(self, envs: Sequence[RolloutEnv], begun: Bool[np.ndarray, " B"]) -> None:
        """Make new experts in the envs told."""
        for number in np.flatnonzero(begun).tolist():
            self.experts[number] = self.make_expert(envs[number].case.seed)

    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Ask the expert of each env that is playing."""
        actions = [
            expert.act(env.environment) if env.playing else env.executed
            for expert, env in zip(self.experts, envs, strict=True)
        ]
        return np.stack([np.asarray(action, np.float64) for action in actions])


def observe(envs: Sequence[RolloutEnv], spec: TrajectorySpec, device: torch.device) -> Observation:
    """Stack what the envs see into the tensors that a policy of this spec reads.

    Raises:
        ValueError: if the environment does not show a column of the spec.
    """
    shown = envs[0].observation
    views = list(spec.objects.views) if spec.objects and spec.objects.max_objects else []
    parts = {view: {part: f"{OBJECTS}.{view}.{part}" for part in PARTS} for view in views}
    wanted = (*spec.states, *spec.images, *(column for names in parts.values() for column in names.values()))
    if missing := [name for name in wanted if name not in shown]:
        raise ValueError(
            f"the policy reads {', '.join(missing)}, but the environment shows only {', '.join(sorted(shown))}; "
            "choose the observation that the policy was trained with"
        )
    states = {name: np.stack([env.observation[name] for env in envs]).astype(np.float32) for name in spec.states}
    frames = {name: np.stack([env.observation[name] for env in envs]) for name in spec.images}
    objects = {
        view: Objects(
            **{
                part: torch.from_numpy(np.stack([env.observation[column] for env in envs]))
                for part, column in columns.items()
            }
        ).to(device)
        for view, columns in parts.items()
    }
    previous_action = np.stack([env.executed for env in envs]).astype(np.float32)
    return Observation(
        states={name: torch.from_numpy(vectors).to(device) for name, vectors in states.items()},
        images={name: torch.from_numpy(frame).to(device).movedim(-1, 1) for name, frame in frames.items()},
        previous_action=torch.from_numpy(previous_action).to(device),
        objects=objects,
    )
