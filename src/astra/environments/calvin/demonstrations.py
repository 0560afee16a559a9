"""Demonstrations of CALVIN's expert: every one differs, and its hand is disturbed, which the expert corrects.

One instruction is demonstrated, in the situation of a random place in a random chain. Images are rendered afterwards,
in a second play of the same actions, which is bitwise equal; failed attempts cost no images.
"""

from dataclasses import dataclass

import numpy as np

from astra.environments.calvin.environment import Calvin, CalvinOptions, Episodes, Scene, Sentences
from astra.environments.calvin.expert import CalvinExpert
from astra.environments.calvin.hand import Variation
from astra.storage.numbers import Count, NotNegative, Share, WholeShare

KICK_TIMESTEPS, KICK_STRENGTH = (2, 5), (0.3, 0.8)
"""Range of the length of a kick in timesteps, and of its strength as a share of the largest action."""


@dataclass(frozen=True, kw_only=True)
class CalvinDemonstrationOptions(CalvinOptions):
    """Options of CALVIN's demonstrations. The recorded actions are the expert's, without any noise."""

    scenes: tuple[Scene, ...] = ("D",)
    """Scenes of the demonstrations, taken in turn; `A B C` is the benchmark's setting ABC."""
    play: Episodes = "tasks"
    """Episodes: the 34 tasks one by one, or the protocol's chains of five instructions."""
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


def demonstrate(environment: Calvin, task: str, seed: int, options: CalvinDemonstrationOptions) -> np.ndarray | None:
    """Let the expert do one task, and return the expert's and the executed actions, 2 x timesteps x 7; None: it failed.

    Equal arguments give equal demonstrations.
    """
    environment.reset(seed=seed, options={"task": task})
    random = np.random.default_rng([seed, 1])
    expert = CalvinExpert(seed, Variation(jitter=options.jitter, slowest=options.slowest))
    strength = options.noise * random.random()
    kick, left = np.zeros(6), 0
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(options.longest):
        action = expert.act(environment)
        if left == 0 and random.random() < options.kicks:
            kick = random.uniform(*KICK_STRENGTH) * random.choice([-1.0, 1.0], 6) * (1, 1, 1, 0.3, 0.3, 0.3)
            left = int(random.integers(*KICK_TIMESTEPS))
        executed = action.astype(np.float64)
        executed[:6] += random.normal(0.0, strength, 6) + (kick if left else 0.0)
        left = max(left - 1, 0)
        rows.append((action, executed.clip(-1, 1)))
        *_, terminated, _, info = environment.step(rows[-1][1])
        if terminated:
            return np.array(rows).swapaxes(0, 1) if info["is_success"] else None
    return None


def columns_of(environment: Calvin, task: str, seed: int, actions: np.ndarray) -> dict[str, np.ndarray]:
    """Play a demonstration again and return its observations and `action`, first axis time.

    Args:
        environment: Environment that observes what the columns shall hold.
        task: Name of the task.
        seed: Seed of the demonstration.
        actions: The expert's and the executed actions, 2 x timesteps x 7.
    """
    observation, _ = environment.reset(seed=seed, options={"task": task})
    rows = []
    for executed in actions[1]:
        rows.append(observation)
        observation, *_ = environment.step(executed)
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return {**columns, "action": actions[0].astype(np.float32)}
