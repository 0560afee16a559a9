"""Demonstrations of CALVIN's expert: every one differs, and its hand is disturbed, which the expert corrects.

One instruction is demonstrated, in the situation of a random place in a random chain. Images are rendered afterwards,
in a second play of the same actions, which is bitwise equal; failed attempts cost no images.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from astra.environments.calvin.environment import Calvin, CalvinOptions, Sentences
from astra.environments.calvin.expert import CalvinExpert
from astra.environments.calvin.hand import Variation
from astra.environments.calvin.scene import find_scenes
from astra.environments.environment import EnvironmentObservation
from astra.storage.numbers import Count, NotNegative, Share, WholeShare

KICK_TIMESTEPS, KICK_STRENGTH = (2, 5), (0.3, 0.8)
"""Range of the length of a kick in timesteps, and of its strength as a share of the largest action."""


@dataclass(frozen=True, kw_only=True)
class CalvinDemonstrationOptions(CalvinOptions):
    """Options of CALVIN's demonstrations. The recorded actions are the expert's, without any noise."""

    scenes: tuple[str, ...] = ("D",)
    """Scenes of the demonstrations, which replace `scene`, by letter or by the benchmark's splits: D, ABC or ABCD."""
    play: Literal["tasks"] = "tasks"
    """Kind of episode: one task; the protocol's chains are not demonstrated."""
    sentences: Sentences = "training"
    """Sentences that are told: those of training, or the protocol's one per task."""
    longest: Count = 180
    """Timesteps in which the expert must be done; longer demonstrations, with failed tries, are dropped."""
    jitter: NotNegative = 0.01
    """Standard deviation in meters of each waypoint on the way; of those at an object, 0.15 of it."""
    slowest: Share = 0.3
    """Each way is made at a speed that is smaller than the full one by up to this share."""
    noise: NotNegative = 0.15
    """Largest standard deviation of the noise on executed steps; each demonstration draws its own from 0 to this."""
    kicks: WholeShare = 0.01
    """Probability per timestep that something pushes the hand aside for 2 to 4 timesteps."""

    def __post_init__(self) -> None:
        """Check numbers and scenes.

        Raises:
            ValueError: if a number is out of range, or a scene is unknown.
        """
        super().__post_init__()
        find_scenes(self.scenes)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One success of the expert."""

    observations: list[EnvironmentObservation]
    """Observation before each action."""
    actions: Float[np.ndarray, "T 7"]
    """The expert's actions."""
    executed: Float[np.ndarray, "T 7"]
    """The actions that were executed, with noise and pushes."""

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Observations and `action`, first axis time."""
        names = self.observations[0]
        observed = {name: np.stack([observation[name] for observation in self.observations]) for name in names}
        return {**observed, "action": self.actions}


def record(environment: Calvin, task: str, seed: int, options: CalvinDemonstrationOptions) -> Recording | None:
    """Let the expert do one task; None: it failed. Equal arguments give equal recordings."""
    observation, _ = environment.reset(seed=seed, options={"task": task})
    random = np.random.default_rng([seed, 1])
    expert = CalvinExpert(seed, Variation(jitter=options.jitter, slowest=options.slowest))
    strength = options.noise * random.random()
    kick, left = np.zeros(6), 0
    seen, actions, executed = list[EnvironmentObservation](), list[np.ndarray](), list[np.ndarray]()
    for _ in range(options.longest):
        action = expert.act(environment)
        if left == 0 and random.random() < options.kicks:
            kick = random.uniform(*KICK_STRENGTH) * random.choice([-1.0, 1.0], 6) * (1, 1, 1, 0.3, 0.3, 0.3)
            left = int(random.integers(*KICK_TIMESTEPS))
        disturbed = action.astype(np.float64)
        disturbed[:6] += random.normal(0.0, strength, 6) + (kick if left else 0.0)
        left = max(left - 1, 0)
        seen.append(observation)
        actions.append(action)
        executed.append(disturbed.clip(-1, 1))
        observation, _, terminated, _, info = environment.step(executed[-1])
        if info["is_success"]:
            return Recording(observations=seen, actions=np.stack(actions), executed=np.stack(executed))
        if terminated:
            break
    return None


def play_again(environment: Calvin, task: str, seed: int, recording: Recording) -> Recording:
    """Return the recording with the observations of another environment, in a second play of the same actions.

    Args:
        environment: Environment of the same scene, which may observe images.
        task: Name of the task.
        seed: Seed of the recording.
        recording: Recording without images.
    """
    observation, _ = environment.reset(seed=seed, options={"task": task})
    seen = []
    for executed in recording.executed:
        seen.append(observation)
        observation, *_ = environment.step(executed)
    return replace(recording, observations=seen)
