"""One episode: the case to play, the environment that plays it, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import numpy as np
from jaxtyping import Float, UInt8

from astra.environments.environment import Environment, EnvironmentObservation, is_success
from astra.evaluation.prompt_picture import prompt_picture
from astra.objects import Pictures

CHAIN = ", then "
"""Between the instructions of one episode."""


def same_chain(one: str, other: str) -> bool:
    """Return whether the instructions of two results are equal, as far as both got in a chain."""
    shorter, longer = sorted((one, other), key=len)
    return f"{longer}{CHAIN}".startswith(f"{shorter}{CHAIN}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One episode to play."""

    seed: int
    """Seed of the environment's reset and of the agent's sampling."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the environment's reset, such as {"goal": (256, 256, 0.785)}."""
    instruction: str | Mapping[str, str] | None = None
    """Instruction for the agent instead of the environment's: one for the whole episode, or one for each that the
    environment may have; None: the environment's."""
    pictures: Pictures | None = None
    """Pictures for the agent instead of the environment's. None: the environment's, or none if `instruction` is
    given."""
    group: str = ""
    """Group of the results, such as a level of generalization; empty: results are grouped by task and instruction."""
    success_at_end: bool = False
    """Whether `is_success` counts at the last timestep only; otherwise at any timestep."""
    record: bool = False
    """Whether the frames are kept."""


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """Result of one episode."""

    seed: int
    """Seed of the case."""
    task: str
    """Name of the environment's task."""
    group: str = ""
    """Group of the case."""
    instruction: str
    """Instruction that the agent got; those of a chain are joined by ", then "."""
    environment_instruction: str
    """Instruction of the environment; it differs in controls that have a wrong prompt."""
    success: bool
    """Whether the episode succeeded."""
    timesteps: int
    """Number of actions that were executed."""
    scores: Mapping[str, float]
    """Largest value of each of the environment's scores, those at the reset included."""
    max_reward: float
    """Largest reward of a timestep."""
    sum_reward: float
    """Sum of the rewards."""
    actions: Float[np.ndarray, "T N"]
    """Executed actions, in the environment's own units."""
    fps: float
    """Timesteps per second."""
    frames: tuple[UInt8[np.ndarray, "_ _ 3"], ...] = ()
    """Frames of the world at the reset and after each action, T + 1 in all, below the prompt if that has pictures;
    empty if the case does not ask for them."""
    done: Mapping[str, int] = field(default_factory=dict)
    """Timestep at which each part of the task was done first, `done` in the environment's info; empty: it does not say
    or nothing was done."""
    missed: bool | None = None
    """Whether an action missed and the episode went on, `is_miss` in the environment's info; None: it does not say."""
    attempts: tuple[int, ...] | None = None
    """Timesteps at which attempts began, such as grasps, `attempts` in its info; None: it does not say."""


class RolloutEnv:
    """One environment of a rollout and the episode that it plays."""

    environment: Environment
    """The environment."""
    index: int
    """Number of the case."""
    case: Case
    """The case that is played."""
    instruction: str
    """Present instruction for the agent."""
    pictures: Pictures
    """Pictures at the instruction's placeholders."""
    observation: EnvironmentObservation
    """Present observation."""
    executed: Float[np.ndarray, " N"]
    """Action that was executed last; zeros when the agent has been reset."""
    playing: bool
    """False once the episode has ended."""
    timesteps_since_reset: int
    """Timesteps since the agent was reset, the length of its history."""

    def __init__(self, environment: Environment, index: int, case: Case) -> None:
        """Start the first episode of the environment."""
        self.environment = environment
        actions = environment.spec_of_trajectories.actions
        self._low, self._high = np.asarray(actions.low, np.float64), np.asarray(actions.high, np.float64)
        self.begin(index, case)

    def begin(self, index: int, case: Case) -> None:
        """Reset the environment for a case."""
        self.index, self.case = index, case
        self.observation, info = self.environment.reset(seed=case.seed, options=dict(case.options))
        self.instruction = self._for_agent()
        own = self.environment.prompt_pictures if case.instruction is None else {}
        self.pictures = own if case.pictures is None else case.pictures
        self.executed, self.playing, self.timesteps_since_reset = np.zeros_like(self._low), True, 0
        self._told, self._asked = [self.instruction], [self.environment.instruction]
        self._success, self._scores = False, dict[str, float]()
        self._missed: bool | None = None
        self._attempts: tuple[int, ...] | None = None
        self._done: Mapping[str, int] = {}
        self._actions, self._rewards, self._frames = list[np.ndarray](), list[float](), list[np.ndarray]()
        self._record(info)

    def step(self, action: Float[np.ndarray, " N"]) -> float:
        """Execute an action, clipped to the bounds, and return the played share of the episode.

        The shares of one episode sum to 1: the last action takes the rest.

        Raises:
            ValueError: if the action, the reward or a score is not finite.
        """
        timesteps = len(self._actions)
        if not np.isfinite(action).all():
            raise ValueError(
                f"the agent's action at timestep {timesteps} of the episode with seed {self.case.seed} "
                f"is {action.tolist()}; all its dimensions must be finite (did the training diverge?)"
            )
        self.executed = np.clip(action, self._low, self._high)
        self.observation, reward, terminated, truncated, info = self.environment.step(self.executed)
        self.playing = not (terminated or truncated) and timesteps + 1 < self.environment.max_timesteps
        self.timesteps_since_reset += 1
        self._actions.append(self.executed)
        self._rewards.append(self._finite("reward", reward))
        success = is_success(self.environment, info)
        self._success = success if self.case.success_at_end else self._success or success
        self._record(info)
        share = 1 / self.environment.max_timesteps
        return share if self.playing else 1 - share * timesteps

    def next_instruction(self) -> bool:
        """Take over a new instruction of the environment and return whether the agent must be reset for it.

        An agent that gets one instruction for the whole episode keeps it.
        """
        if self.environment.instruction == self._asked[-1]:
            return False
        self._asked.append(self.environment.instruction)
        if isinstance(self.case.instruction, str):
            return False
        self.instruction = self._for_agent()
        own = self.environment.prompt_pictures if self.case.instruction is None else {}
        self.pictures = own if self.case.pictures is None else self.case.pictures
        self._told.append(self.instruction)
        self.executed, self.timesteps_since_reset = np.zeros_like(self._low), 0
        return True

    def wait(self) -> bool:
        """Let a timestep pass without a case and return whether the agent must be reset, to bound its history."""
        self.timesteps_since_reset = (self.timesteps_since_reset + 1) % self.environment.max_timesteps
        return self.timesteps_since_reset == 0

    def result(self) -> EpisodeResult:
        """Return the result of the episode."""
        return EpisodeResult(
            seed=self.case.seed,
            task=self.environment.task,
            group=self.case.group,
            instruction=CHAIN.join(self._told),
            environment_instruction=CHAIN.join(self._asked),
            success=self._success,
            timesteps=len(self._actions),
            scores=self._scores,
            max_reward=max(self._rewards),
            sum_reward=sum(self._rewards),
            actions=np.stack(self._actions),
            fps=self.environment.spec_of_trajectories.fps,
            frames=self._below_prompt(),
            done=self._done,
            missed=self._missed,
            attempts=self._attempts,
        )

    def _for_agent(self) -> str:
        """Return the agent's instruction for the present one of the environment."""
        own, given = self.environment.instruction, self.case.instruction
        if given is None:
            return own
        return given if isinstance(given, str) else given[own]

    def _record(self, info: Mapping[str, Any]) -> None:
        for name, score in info.get("scores", {}).items():
            self._scores[name] = max(self._finite(f"score {name!r}", score), self._scores.get(name, -np.inf))
        self._done = info.get("done", self._done)
        self._attempts = info.get("attempts", self._attempts)
        if "is_miss" in info:
            self._missed = bool(self._missed or info["is_miss"])
        if self.case.record:
            self._frames.append(np.array(self.environment.frame()))  # the next frame may be in the same array

    def _finite(self, name: str, value: SupportsFloat) -> float:
        """Return a number of the environment that results are made of, after checking it."""
        number = float(value)
        if not np.isfinite(number):
            raise ValueError(
                f"the {name} of the environment after timestep {len(self._actions)} of the episode with seed "
                f"{self.case.seed} is {number}, expected a finite number"
            )
        return number

    def _below_prompt(self) -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
        if not self._frames or not self.pictures:
            return tuple(self._frames)
        prompt = prompt_picture(self.instruction, self.pictures, self._frames[0].shape[1])
        return tuple(np.concatenate([prompt, frame]) for frame in self._frames)
