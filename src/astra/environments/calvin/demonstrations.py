"""Demonstrations of CALVIN's expert: every one differs, and its hand is disturbed, which the expert corrects.

One instruction is demonstrated, in the situation of a random place in a random chain. Images are rendered afterwards,
in a second play of the same actions, which is bitwise equal; failed attempts cost no images.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from astra.environments.calvin.environment import Calvin, CalvinOptions, Sentences
from astra.environments.calvin.expert import CalvinExpert
from astra.environments.calvin.hand import Variation
from astra.environments.calvin.scene import find_scenes
from astra.environments.disturbance import Disturbance, Pushes
from astra.environments.environment import EnvironmentObservation
from astra.environments.recording import Recording
from astra.storage.numbers import Count, NotNegative, Share, WholeShare

PUSHES = Pushes(timesteps=(2, 5), strength=(0.3, 0.8), directions=(1, 1, 1, 0.3, 0.3, 0.3))
"""How the hand is pushed aside, and turned."""


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


def record(environment: Calvin, task: str, seed: int, options: CalvinDemonstrationOptions) -> Recording | None:
    """Let the expert do one task; None: it failed. Equal arguments give equal recordings."""
    observation, _ = environment.reset(seed=seed, options={"task": task})
    random = np.random.default_rng([seed, 1])
    expert = CalvinExpert(seed, Variation(jitter=options.jitter, slowest=options.slowest))
    disturb = Disturbance(random, PUSHES, noise=options.noise, chance=options.kicks)
    seen, actions, executed = list[EnvironmentObservation](), list[np.ndarray](), list[np.ndarray]()
    for _ in range(options.longest):
        action = expert.act(environment)
        seen.append(observation)
        actions.append(action)
        executed.append(disturb(action).clip(-1, 1))
        observation, _, terminated, truncated, info = environment.step(executed[-1])
        if info["is_success"]:
            return Recording(observations=seen, actions=np.stack(actions), executed=np.stack(executed))
        if terminated or truncated:  # truncated: the simulator failed
            break
    return None
