"""Meta-World's scripted experts, and demonstrations in which noise pushes the hand off their path.

The experts act on the present observation alone. They always come the same way to the same place, so demonstrations of
them say nothing about the states beside that way. Therefore each demonstration adds noise of its own strength to the
executed actions, while the recorded action is the expert's: the dataset shows how to come back.

Source: Laskey et al. 2017, "DART: Noise Injection for Robust Imitation Learning".
"""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.environment import EnvironmentObservation
from astra.environments.metaworld.environment import MetaWorld
from astra.environments.metaworld.simulator import expert_class
from astra.environments.metaworld.tasks import TASKS
from astra.environments.spaces import in_bins

MOVING = 3
"""Number of action dimensions that move the hand and get noise; the last one is the gripper."""
HELD = 5
"""Timesteps for which a push of noise lasts; noise that changes at each timestep would cancel itself."""


class MetaWorldExpert:
    """Expert of any task; equal states give equal actions.

    Args:
        seed: ignored; all experts take one, and this one draws no random numbers.
        bins: number of bins of equal width to whose centers actions are rounded, as a discrete policy's are; 0: none.
    """

    def __init__(self, seed: int = 0, bins: int = 0) -> None:
        del seed
        self.bins = bins
        self._policies: dict[str, Any] = {}

    def act(self, environment: MetaWorld) -> Float[np.ndarray, "4"]:
        """Return the next action for the current state of the environment."""
        if environment.task not in self._policies:
            self._policies[environment.task] = expert_class(TASKS[environment.task])()
        policy = self._policies[environment.task]
        with warnings.catch_warnings(action="ignore"):  # it warns that its own actions exceed the bounds
            action = np.asarray(policy.get_action(environment.full_observation), np.float64)
        return in_bins(action[:4].clip(-1, 1), self.bins).astype(np.float32)


class Pushes:
    """Noise of one episode: pushes of the hand in random directions, each lasting for some timesteps.

    Args:
        seed: seed of the episode.
        noise: largest strength; each episode draws its own from 0 to this.
    """

    def __init__(self, seed: int, noise: float) -> None:
        self._random = np.random.default_rng([seed, 1])
        self._strength = noise * self._random.random()
        self._push = np.zeros(MOVING)
        self._timestep = 0

    def disturb(self, action: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
        """Return the action that is executed instead."""
        if self._timestep % HELD == 0:
            self._push = self._strength * self._random.normal(size=MOVING)
        self._timestep += 1
        executed = action.copy()
        executed[:MOVING] += self._push
        return executed.clip(-1, 1)


def demonstrate(
    environment: MetaWorld, task: str, seed: int, *, bins: int = 0, noise: float = 0.0
) -> dict[str, np.ndarray] | None:
    """Record one episode of the expert; None if it does not succeed in time. Equal arguments give equal episodes.

    Args:
        environment: environment in which to play.
        task: name of the task.
        seed: seed of the layout and of the noise.
        bins: number of bins to whose centers the expert's actions are rounded; 0: none.
        noise: largest strength of the noise, as a share of the largest action.

    Returns:
        The columns of all T timesteps: observations and `action`, which is the expert's, without the noise.
    """
    observation: EnvironmentObservation
    observation, _ = environment.reset(seed=seed, options={"task": task})
    expert, pushes = MetaWorldExpert(seed, bins), Pushes(seed, noise)
    rows: list[dict[str, np.ndarray]] = []
    for _ in range(environment.max_timesteps):
        action = expert.act(environment)
        rows.append({**observation, "action": action})
        observation, _, succeeded, truncated, _ = environment.step(pushes.disturb(action))
        if succeeded:
            return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        if truncated:
            break
    return None
