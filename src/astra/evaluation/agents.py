"""Agents that act in a rollout: a policy, also one that sees nothing, the no-op baseline and a scripted expert."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from astra.datasets.episode import OBJECTS, PARTS
from astra.environments.suite import Expert
from astra.evaluation.episode import RolloutEnv
from astra.objects import Objects, PromptPictures
from astra.policies.policy import Policy
from astra.trajectory import Observation, TrajectorySpec


class Agent(ABC):
    """Agent that acts in B environments at once; each environment plays one episode after another."""

    looks = True
    """Whether it looks at images; for one that does not, environments need not render them."""

    @abstractmethod
    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Start the first episode of every environment."""

    @abstractmethod
    def reset(self, envs: Sequence[RolloutEnv], where: Bool[np.ndarray, " B"]) -> None:
        """Forget the history in the environments where `where` is True: an episode or an instruction starts there."""

    @abstractmethod
    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Return the next action for each environment; an environment that is not playing does not execute it."""


class PolicyAgent(Agent):
    """A policy. It is given the prompt, the observation and the executed action of an environment, nothing else."""

    def __init__(self, policy: Policy[Any]) -> None:
        """Wrap the policy, which stays on its device and acts in evaluation mode, without gradients."""
        self.policy = policy
        self.state: Any = None

    @torch.no_grad()
    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Start the first episode of every environment."""
        self.policy.eval()
        self.state = self.policy.start(*self._prompts(envs))

    @torch.no_grad()
    def reset(self, envs: Sequence[RolloutEnv], where: Bool[np.ndarray, " B"]) -> None:
        """Empty the history of the environments where `where` is True."""
        new = [env for env, again in zip(envs, where, strict=True) if again]
        mask = torch.from_numpy(where).to(self.policy.device)
        self.state = self.policy.reset(self.state, mask, *self._prompts(new))

    # `no_grad` and not `inference_mode`: what a frozen encoder caches here may be needed in training later.
    @torch.no_grad()
    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Return the next actions of all environments from one call of the policy."""
        action, self.state = self.policy.act(self.state, self.observe(envs))
        return action.double().cpu().numpy()

    def observe(self, envs: Sequence[RolloutEnv]) -> Observation:
        """Return what the policy observes of each environment."""
        return observe(envs, self.policy.spec, self.policy.device)

    def _prompts(self, envs: Sequence[RolloutEnv]) -> tuple[Any, ...]:
        """Return instructions, seeds and, if there are any, pictures."""
        instructions, seeds, pictures = prompts(envs, self.policy.device)
        return (instructions, seeds) if pictures is None else (instructions, seeds, pictures)


class BlindAgent(PolicyAgent):
    """A policy that sees nothing: frames and objects' crops are black; states, boxes, prompts and actions are right.

    Raises:
        ValueError: if the policy sees nothing anyway.
    """

    looks = False

    def __init__(self, policy: Policy[Any]) -> None:
        super().__init__(policy)
        if not policy.spec.images and not (policy.spec.objects and policy.spec.objects.max_objects):
            raise ValueError(
                f"the policy observes {', '.join(policy.spec.states)} and no pictures, so it cannot be made blind: "
                "leave blind out of --agents"
            )

    def observe(self, envs: Sequence[RolloutEnv]) -> Observation:
        """Return what the policy observes, with black pictures."""
        spec, sizes = self.policy.spec, envs[0].environment.spec_of_trajectories.images
        seen = observe(envs, replace(spec, images={}), self.policy.device)
        objects = {view: replace(shown, crops=torch.zeros_like(shown.crops)) for view, shown in seen.objects.items()}
        images = {
            camera: torch.zeros(len(envs), 3, *sizes[camera], dtype=torch.uint8, device=self.policy.device)
            for camera in spec.images
        }
        return replace(seen, images=images, objects=objects)


class NoOp(Agent):
    """The no-op baseline: it repeats the action that does nothing. What a policy scores above it was learned."""

    looks = False

    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Do nothing."""

    def reset(self, envs: Sequence[RolloutEnv], where: Bool[np.ndarray, " B"]) -> None:
        """Do nothing."""

    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Return the no-op action of each environment."""
        return np.stack([np.asarray(env.environment.no_op_action(), np.float64) for env in envs])


class ExpertAgent(Agent):
    """A new scripted expert for every episode and every instruction in it, made from the episode's seed."""

    looks = False

    def __init__(self, make_expert: Callable[[int], Expert]) -> None:
        """Keep the function that makes an expert from a seed, such as the expert's class."""
        self.make_expert = make_expert
        self.experts: list[Expert] = []

    def start(self, envs: Sequence[RolloutEnv]) -> None:
        """Make one expert per environment."""
        self.experts = [self.make_expert(env.case.seed) for env in envs]

    def reset(self, envs: Sequence[RolloutEnv], where: Bool[np.ndarray, " B"]) -> None:
        """Make new experts in the environments where `where` is True."""
        for index in np.flatnonzero(where).tolist():
            self.experts[index] = self.make_expert(envs[index].case.seed)

    def act(self, envs: Sequence[RolloutEnv]) -> Float[np.ndarray, "B N"]:
        """Ask the expert of each environment that is playing."""
        actions = [
            expert.act(env.environment) if env.playing else env.executed
            for expert, env in zip(self.experts, envs, strict=True)
        ]
        return np.stack([np.asarray(action, np.float64) for action in actions])


def prompts(envs: Sequence[RolloutEnv], device: torch.device) -> tuple[list[str], list[int], PromptPictures | None]:
    """Return the instruction and the seed of each environment, and the pictures of all prompts, if there are any."""
    instructions = [env.instruction for env in envs]
    pictures = PromptPictures.stack(instructions, [env.pictures for env in envs])
    return instructions, [env.case.seed for env in envs], None if pictures is None else pictures.to(device)


def observe(envs: Sequence[RolloutEnv], spec: TrajectorySpec, device: torch.device) -> Observation:
    """Stack the observations of the environments to the tensors that a policy with this spec reads.

    Raises:
        ValueError: if the environment lacks a column of the spec.
    """
    shown = envs[0].observation
    views = list(spec.objects.views) if spec.objects and spec.objects.max_objects else []
    parts = {view: {part: f"{OBJECTS}.{view}.{part}" for part in PARTS} for view in views}
    wanted = (*spec.states, *spec.images, *(column for names in parts.values() for column in names.values()))
    if missing := [name for name in wanted if name not in shown]:
        raise ValueError(
            f"the policy reads {', '.join(missing)}, but the environment shows only {', '.join(sorted(shown))}; "
            "choose the options of the suite with which the policy was trained"
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
