"""One episode: the case to play, the env that plays it, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from astra.environments.environment import Environment, EnvironmentObservation
from astra.evaluation.prompt_picture import prompt_picture
from astra.objects import Pictures


@dataclass(frozen=True, kw_only=True)
class Case:
    """One episode to play."""

    seed: int
    """Of the environment's reset and of the agent's sampling."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Given to the environment's reset, such as {"goal": (256, 256, 0.785)}."""
    instruction: str | None = None
    """What the agent is told instead of the environment's instruction: the control with swapped instructions."""
    pictures: Pictures | None = None
    """What stands at the placeholders instead of the environment's pictures; None with an `instruction` of its own:
    nothing, which fits words alone."""
    group: str = ""
    """By which results are gathered, beside the task, such as a level of generalization; empty: by the task, and in it
    by the instruction."""
    record: bool = False
    """Whether the frames are kept."""


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """What happened in one episode."""

    seed: int
    task: str
    """Name of the environment's task."""
    group: str = ""
    """The case's group."""
    instruction: str
    """What the agent was told."""
    environment_instruction: str
    """What the environment asked for; it differs in the control with swapped instructions."""
    success: bool
    """Whether `is_success` was true at any timestep."""
    timesteps: int
    """Number of actions that were executed."""
    scores: Mapping[str, float]
    """Largest value of each of the environment's scores, those at reset included."""
    max_reward: float
    sum_reward: float
    actions: Float[np.ndarray, "T N"]
    """What was executed, in the environment's own units."""
    fps: float
    """Timesteps per second."""
    frames: tuple[UInt8[np.ndarray, "_ _ 3"], ...] = ()
    """The world at reset and after each action, T + 1 frames, below the prompt where that has pictures; empty where the
    case did not ask for them."""


class RolloutEnv:
    """One environment and the episode that it plays, observed step by step."""

    environment: Environment
    index: int
    """Number of the case."""
    case: Case
    instruction: str
    """What the agent is told."""
    pictures: Pictures
    """What stands at the instruction's placeholders."""
    observation: EnvironmentObservation
    executed: Float[np.ndarray, " N"]
    """The action executed last; zeros at the first timestep."""
    playing: bool
    """False once the episode has ended."""
    clock: int
    """Timesteps since the agent last began anew."""

    def __init__(self, environment: Environment, index: int, case: Case) -> None:
        """Make the env and begin its first episode."""
        self.environment = environment
        actions = environment.spec_of_trajectories.actions
        self._low, self._high = np.asarray(actions.low, np.float64), np.asarray(actions.high, np.float64)
        self.begin(index, case)

    def begin(self, index: int, case: Case) -> None:
        """Reset the environment for a case."""
        self.index, self.case = index, case
        self.observation, info = self.environment.reset(seed=case.seed, options=dict(case.options))
        self.instruction = self.environment.instruction if case.instruction is None else case.instruction
        own = self.environment.prompt_pictures if case.instruction is None else {}
        self.pictures = own if case.pictures is None else case.pictures
        self.executed, self.playing, self.clock = np.zeros_like(self._low), True, 0
        self._success, self._scores = False, dict[str, float]()
        self._actions, self._rewards, self._frames = list[np.ndarray](), list[float](), list[np.ndarray]()
        self._note(info)

    def step(self, action: Float[np.ndarray, " N"]) -> float:
        """Execute an action, clipped to the bounds, and return the share of an episode that it played.

        The shares of one episode sum to 1: the last action takes what is left.

        Raises:
            ValueError: if the action is not finite.
        """
        if not np.isfinite(action).all():
            raise ValueError(
                f"the agent's action at timestep {self.clock} of the episode with seed {self.case.seed} "
                f"is {action.tolist()}; all its dimensions must be finite (did the training diverge?)"
            )
        self.executed = np.clip(action, self._low, self._high)
        self.observation, reward, terminated, truncated, info = self.environment.step(self.executed)
        self.playing = not (terminated or truncated)
        self.clock += 1
        self._actions.append(self.executed)
        self._rewards.append(float(reward))
        self._success |= bool(info["is_success"])
        self._note(info)
        share = 1 / self.environment.max_timesteps
        return share if self.playing else 1 - share * (self.clock - 1)

    def wait(self) -> bool:
        """Let a timestep pass without a case; True when the agent must begin anew, lest its history overflow."""
        self.clock = (self.clock + 1) % self.environment.max_timesteps
        return self.clock == 0

    def result(self) -> EpisodeResult:
        """Tell what happened in the episode."""
        return EpisodeResult(
            seed=self.case.seed,
            task=self.environment.task,
            group=self.case.group,
            instruction=self.instruction,
            environment_instruction=self.environment.instruction,
            success=self._success,
            timesteps=len(self._actions),
            scores=self._scores,
            max_reward=max(self._rewards),
            sum_reward=sum(self._rewards),
            actions=np.stack(self._actions),
            fps=self.environment.spec_of_trajectories.fps,
            frames=self._below_the_prompt(),
        )

    def _note(self, info: Mapping[str, Any]) -> None:
        for name, score in info.get("scores", {}).items():
            self._scores[name] = max(float(score), self._scores.get(name, -np.inf))
        if self.case.record:
            self._frames.append(self.environment.frame())

    def _below_the_prompt(self) -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
        if not self._frames or not self.pictures:
            return tuple(self._frames)
        prompt = prompt_picture(self.instruction, self.pictures, self._frames[0].shape[1])
        return tuple(np.concatenate([prompt, frame]) for frame in self._frames)
