"""An episode of an expert, and its second play: images are rendered of successes alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from astra.environments.environment import Environment, EnvironmentObservation


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One episode of an expert."""

    observations: list[EnvironmentObservation]
    """Observation before each action."""
    actions: Float[np.ndarray, "T N"]
    """The expert's actions."""
    executed: Float[np.ndarray, "T N"]
    """The actions that were executed, with all disturbances."""

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Observations and `action`, first axis time."""
        names = self.observations[0]
        observed = {name: np.stack([observation[name] for observation in self.observations]) for name in names}
        return {**observed, "action": self.actions}


R = TypeVar("R", bound=Recording)


def play_again(environment: Environment, reset: Mapping[str, Any], seed: int, recording: R) -> R:
    """Return the recording with what another environment observes, in a second play of the same actions.

    Args:
        environment: Environment of the same scene, which may observe images.
        reset: Options of the recording's reset.
        seed: Seed of the recording.
        recording: Recording, whose observations are replaced.
    """
    observation, _ = environment.reset(seed=seed, options=dict(reset))
    seen = []
    for executed in recording.executed:
        seen.append(observation)
        observation, *_ = environment.step(executed)
    return replace(recording, observations=seen)
