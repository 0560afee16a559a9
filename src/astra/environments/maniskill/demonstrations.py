"""Demonstrations of ManiSkill's expert: its hand is disturbed, so that grasps fail, and it grasps again.

The recorded actions are the expert's, in bins, without the disturbances. Images are rendered afterwards, in a second
play of the same actions, which is bitwise equal; failed attempts cost no images.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from astra.environments.environment import EnvironmentObservation
from astra.environments.maniskill.environment import BINS, ManiSkill, ManiSkillOptions
from astra.environments.maniskill.expert import ManiSkillExpert
from astra.storage.numbers import BinsOrNone, NotNegative, WholeShare

KICK_TIMESTEPS, KICK_STRENGTH = (2, 5), (0.2, 0.6)
"""Range of the length of a kick in timesteps, and of its strength as a share of the largest action."""
SLIP_TIMESTEPS = 2
"""Timesteps for which the fingers open by themselves when a grasp slips."""


@dataclass(frozen=True, kw_only=True)
class ManiSkillDemonstrationOptions(ManiSkillOptions):
    """Options of ManiSkill's demonstrations. The recorded actions are the expert's, without any noise."""

    bins: BinsOrNone = BINS
    """Number of bins per dimension to whose centers the expert's actions are rounded, as a discrete policy's are; an
    odd number can rest; 0: they are not rounded."""
    noise: NotNegative = 0.15
    """Largest standard deviation of the noise on executed positions, as a share of the largest action; each
    demonstration draws its own from 0 to this."""
    kicks: WholeShare = 0.02
    """Probability per timestep that something pushes the hand aside for 2 to 4 timesteps."""
    slips: WholeShare = 0.2
    """Share of the demonstrations in which the fingers lose the target once, while they lift or carry it."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One success of the expert."""

    observations: list[EnvironmentObservation]
    """Observation before each action."""
    actions: Float[np.ndarray, "T 7"]
    """The expert's actions."""
    executed: Float[np.ndarray, "T 7"]
    """The actions that were executed, with noise, pushes and slips."""
    attempts: tuple[int, ...]
    """Timesteps at which grasp attempts began."""

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Observations and `action`, first axis time."""
        names = self.observations[0]
        observed = {name: np.stack([observation[name] for observation in self.observations]) for name in names}
        return {**observed, "action": self.actions}


def record(
    environment: ManiSkill, reset: dict[str, str], seed: int, options: ManiSkillDemonstrationOptions
) -> Recording | None:
    """Let the expert play one episode; None: it failed. Equal arguments give equal recordings."""
    observation, _ = environment.reset(seed=seed, options=reset)
    random = np.random.default_rng([seed, 1])
    expert = ManiSkillExpert(seed, options.bins)
    strength = options.noise * random.random()
    slip = int(random.integers(1, 8)) if random.random() < options.slips else 0
    kick, left, held, slipping = np.zeros(3), 0, 0, 0
    seen, actions, executed = list[EnvironmentObservation](), list[np.ndarray](), list[np.ndarray]()
    while True:
        action = expert.act(environment)
        if left == 0 and random.random() < options.kicks:
            kick = random.uniform(*KICK_STRENGTH) * random.choice([-1.0, 1.0], 3)
            left = int(random.integers(*KICK_TIMESTEPS))
        disturbed = action.astype(np.float64)
        disturbed[:3] += random.normal(0.0, strength, 3) + (kick if left else 0.0)
        left = max(left - 1, 0)
        held += expert.phase in ("lift", "carry")
        if slip and held == slip:
            slip, slipping = 0, SLIP_TIMESTEPS
        if slipping:
            disturbed[6], slipping = 1.0, slipping - 1
        seen.append(observation)
        actions.append(action)
        executed.append(disturbed.clip(-1, 1))
        observation, _, succeeded, truncated, info = environment.step(executed[-1])
        if succeeded:
            lists = np.stack(actions), np.stack(executed)
            return Recording(observations=seen, actions=lists[0], executed=lists[1], attempts=info["attempts"])
        if truncated:
            return None


def play_again(environment: ManiSkill, reset: dict[str, str], seed: int, recording: Recording) -> Recording:
    """Return the recording with images, in a second play of the same actions.

    Args:
        environment: Environment that observes images.
        reset: Options of the recording's reset.
        seed: Seed of the recording.
        recording: Recording without images.
    """
    observation, _ = environment.reset(seed=seed, options=reset)
    seen = []
    for executed in recording.executed:
        seen.append(observation)
        observation, *_ = environment.step(executed)
    return replace(recording, observations=seen)
