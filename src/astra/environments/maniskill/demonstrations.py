"""Demonstrations of ManiSkill's expert: its hand is disturbed, so that grasps fail, and it grasps again.

The recorded actions are the expert's, in bins, without the disturbances. Images are rendered afterwards, in a second
play of the same actions, which is bitwise equal; failed attempts cost no images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.disturbance import Disturbance, Pushes
from astra.environments.environment import EnvironmentObservation
from astra.environments.maniskill.world import BINS, ArmWorld, ManiSkillOptions
from astra.environments.recording import Recording, play_again
from astra.environments.suite import Demonstration
from astra.storage.numbers import BinsOrNone, NotNegative, WholeShare

PUSHES = Pushes(timesteps=(2, 5), strength=(0.2, 0.6), directions=(1, 1, 1))
"""How the hand is pushed aside."""
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
class GraspRecording(Recording):
    """One episode of the expert, and what is known of its grasps."""

    succeeded: bool
    """Whether the target came into the container in time."""
    attempts: tuple[int, ...]
    """Timesteps at which grasp attempts began."""
    first_failed: bool
    """Whether the first attempt failed."""


class Disturbances:
    """Disturbances of one episode: noise, pushes, and fingers that lose the target once.

    Args:
        entropy: numbers that seed the episode.
        options: how strong and how frequent they are.
    """

    def __init__(self, entropy: Sequence[int], options: ManiSkillDemonstrationOptions) -> None:
        random = np.random.default_rng([*entropy, 1])
        self._disturb = Disturbance(random, PUSHES, noise=options.noise, chance=options.kicks)
        slips = random.random() < options.slips
        self._after = int(random.integers(*SLIP_AFTER)) if slips else -1
        self._left = SLIP_TIMESTEPS

    def disturb(self, action: Float[np.ndarray, "7"], *, moves_target: bool) -> Float[np.ndarray, "7"]:
        """Return the action that is executed instead.

        Args:
            action: The expert's action.
            moves_target: Whether the expert lifts or carries the target.
        """
        executed = self._disturb(action)
        self._after -= moves_target and self._after > 0
        if self._after == 0 and self._left:
            executed[6], self._left = 1.0, self._left - 1
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
) -> GraspRecording:
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
    return GraspRecording(
        observations=seen,
        actions=np.stack(actions),
        executed=np.stack(executed),
        succeeded=info["is_success"],
        attempts=info["attempts"],
        first_failed=info["is_miss"],
    )
