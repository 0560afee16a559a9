"""Demonstrations of ManiSkill's expert: its hand is disturbed, so that grasps fail, and it grasps again.

The recorded actions are the expert's, in bins, without the disturbances. Images are rendered afterwards, in a second
play of the same actions, which is bitwise equal; failed attempts cost no images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.environment import EnvironmentObservation
from astra.environments.maniskill.world import BINS, ArmWorld, ManiSkillOptions
from astra.environments.suite import Demonstration
from astra.storage.numbers import BinsOrNone, NotNegative, WholeShare

KICK_TIMESTEPS, KICK_STRENGTH = (2, 5), (0.2, 0.6)
"""Range of the length of a kick in timesteps, and of its strength as a share of the largest action."""
SLIP_AFTER, SLIP_TIMESTEPS = (1, 8), 2
"""Range of the timesteps of lifting and carrying after which a grasp slips, and those for which the fingers open."""
MakeExpert = Callable[[int, int], Any]
"""Makes the expert of an episode, which has `act` and `phase`, from its seed and a number of bins."""


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
    """One episode of the expert."""

    observations: list[EnvironmentObservation]
    """Observation before each action."""
    actions: Float[np.ndarray, "T 7"]
    """The expert's actions."""
    executed: Float[np.ndarray, "T 7"]
    """The actions that were executed, with noise, pushes and slips."""
    succeeded: bool
    """Whether the target came into the container in time."""
    attempts: tuple[int, ...]
    """Timesteps at which grasp attempts began."""
    first_failed: bool
    """Whether the first attempt failed."""

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Observations and `action`, first axis time."""
        names = self.observations[0]
        observed = {name: np.stack([observation[name] for observation in self.observations]) for name in names}
        return {**observed, "action": self.actions}


class Disturbances:
    """Disturbances of one episode.

    Args:
        entropy: numbers that seed the episode.
        options: how strong and how frequent they are.
    """

    def __init__(self, entropy: Sequence[int], options: ManiSkillDemonstrationOptions) -> None:
        self._random = np.random.default_rng([*entropy, 1])
        self._kicks = options.kicks
        self._strength = options.noise * self._random.random()
        self._kick, self._kick_left = np.zeros(3), 0
        slips = self._random.random() < options.slips
        self._slip_after = int(self._random.integers(*SLIP_AFTER)) if slips else -1
        self._slip_left = SLIP_TIMESTEPS

    def disturb(self, action: Float[np.ndarray, "7"], *, moves_target: bool) -> Float[np.ndarray, "7"]:
        """Return the action that is executed instead.

        Args:
            action: The expert's action.
            moves_target: Whether the expert lifts or carries the target.
        """
        if self._kick_left == 0 and self._random.random() < self._kicks:
            self._kick = self._random.uniform(*KICK_STRENGTH) * self._random.choice([-1.0, 1.0], 3)
            self._kick_left = int(self._random.integers(*KICK_TIMESTEPS))
        executed = action.astype(np.float64)
        executed[:3] += self._random.normal(0.0, self._strength, 3) + (self._kick if self._kick_left else 0.0)
        self._kick_left = max(self._kick_left - 1, 0)
        self._slip_after -= moves_target and self._slip_after > 0
        if self._slip_after == 0 and self._slip_left:
            executed[6], self._slip_left = 1.0, self._slip_left - 1
        return executed.clip(-1, 1)


def record(
    environment: ArmWorld,
    reset: Mapping[str, Any],
    seed: int,
    options: ManiSkillDemonstrationOptions,
    make_expert: MakeExpert,
) -> Demonstration | None:
    """Record one demonstration, or return None if the expert fails; images are rendered in a second play of it."""
    environment.renders = False
    recording = play(environment, reset, seed, options, make_expert)
    environment.renders = True
    if not recording.succeeded:
        return None
    if environment.spec_of_trajectories.images:
        recording = play_again(environment, reset, seed, recording)
    return Demonstration(instruction=environment.instruction, columns=recording.columns)


def play(
    environment: ArmWorld,
    reset: Mapping[str, Any],
    seed: int,
    options: ManiSkillDemonstrationOptions,
    make_expert: MakeExpert,
) -> Recording:
    """Let the expert play one episode. Equal arguments give equal recordings.

    Args:
        environment: Environment in which it plays.
        reset: Options of the environment's reset.
        seed: Seed of the episode.
        options: How strongly it is disturbed.
        make_expert: Makes the expert from a seed and a number of bins.
    """
    observation, _ = environment.reset(seed=seed, options=dict(reset))
    expert, disturbances = make_expert(seed, options.bins), Disturbances(environment.entropy, options)
    seen, actions, executed, ended = list[EnvironmentObservation](), list[np.ndarray](), list[np.ndarray](), False
    info: dict[str, Any] = {}
    while not ended:
        actions.append(expert.act(environment))
        executed.append(disturbances.disturb(actions[-1], moves_target=expert.phase in ("lift", "carry")))
        seen.append(observation)
        observation, _, succeeded, truncated, info = environment.step(executed[-1])
        ended = succeeded or truncated
    return Recording(
        observations=seen,
        actions=np.stack(actions),
        executed=np.stack(executed),
        succeeded=info["is_success"],
        attempts=info["attempts"],
        first_failed=info["is_miss"],
    )


def play_again(environment: ArmWorld, reset: Mapping[str, Any], seed: int, recording: Recording) -> Recording:
    """Return the recording with images, in a second play of the same actions.

    Args:
        environment: Environment that observes images.
        reset: Options of the recording's reset.
        seed: Seed of the recording.
        recording: Recording without images.
    """
    observation, _ = environment.reset(seed=seed, options=dict(reset))
    seen = []
    for executed in recording.executed:
        seen.append(observation)
        observation, *_ = environment.step(executed)
    return replace(recording, observations=seen)
