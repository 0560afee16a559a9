"""Demonstrations of the kitchen's expert: every one differs, and its arm is disturbed, which the expert corrects.

The kitchen always starts in the same state. Without variation, a thousand demonstrations would be one path.

Images are rendered after a success, from the poses of each timestep, so that failed attempts cost none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from astra.environments.disturbance import Disturbance, Pushes
from astra.environments.environment import EnvironmentObservation
from astra.environments.franka_kitchen.environment import FrankaKitchen, KitchenOptions
from astra.environments.franka_kitchen.expert import KitchenExpert, Variation
from astra.environments.franka_kitchen.simulator import JOINTS
from astra.environments.spaces import in_bins
from astra.storage.numbers import BinsOrNone, NotNegative, Share, WholeShare

PUSHES = Pushes(timesteps=(3, 7), strength=(0.3, 0.9), directions=(1,) * JOINTS)
"""How the arm is pushed aside."""


@dataclass(frozen=True, kw_only=True)
class KitchenDemonstrationOptions(KitchenOptions):
    """Options of Franka Kitchen's demonstrations. The recorded actions are the expert's, without any noise."""

    perturbation: NotNegative = 1.0
    """How far the start of each episode differs from the kitchen's own, which is always the same. 1: the arm by about
    0.1 rad per joint, the kettle by up to 1.5 cm and 0.1 rad, and each door, knob and switch is slightly open."""
    jitter: NotNegative = 0.02
    """Standard deviation in radians of each waypoint's joints; of those in contact with an object, 0.3 of it."""
    slowest: Share = 0.2
    """Each way is made at a speed that is smaller than the full one by up to this share."""
    shuffle: WholeShare = 0.15
    """Share of the episodes in which the order of the tasks is random; the hinge cabinet stays last."""
    noise: NotNegative = 0.2
    """Largest standard deviation of the noise on executed actions; each demonstration draws its own from 0 to this."""
    kicks: WholeShare = 0.005
    """Probability per timestep that something pushes the arm aside for 3 to 6 timesteps."""
    bins: BinsOrNone = 0
    """Number of bins per dimension to whose centers the expert's actions are rounded, as a discrete policy's are; 0:
    they are not rounded."""


def demonstrate(
    environment: FrankaKitchen, reset: Mapping[str, Any], seed: int, options: KitchenDemonstrationOptions
) -> dict[str, np.ndarray] | None:
    """Record one episode of the expert. Equal seeds give equal episodes.

    Returns:
        Observations and `action`, first axis time; None unless the four named tasks, and no others, are done in time.
    """
    environment.renders = False
    observation, info = environment.reset(seed=seed, options=dict(reset))
    random = np.random.default_rng([seed, 1])
    variation = Variation(jitter=options.jitter, slowest=options.slowest, shuffle=options.shuffle)
    expert = KitchenExpert(seed, variation)
    disturb = Disturbance(random, PUSHES, noise=options.noise, chance=options.kicks)
    observations, actions, poses = list[EnvironmentObservation](), list[np.ndarray](), list[dict[str, np.ndarray]]()
    for _ in range(options.max_timesteps):
        action = in_bins(expert.act(environment), options.bins).astype(np.float32)
        observations.append(observation)
        actions.append(action)
        poses.append(environment.simulator.poses())
        observation, _, terminated, truncated, info = environment.step(disturb(action).clip(-1, 1))
        if terminated or truncated:
            break
    environment.renders = True
    if not info["is_success"] or info["scores"]["not_named"]:
        return None
    rows = [
        {**observation, **environment.images(environment.simulator.posed(each)), "action": action}
        for observation, each, action in zip(observations, poses, actions, strict=True)
    ]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
