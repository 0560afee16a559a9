"""Meta-World's simulator of one task, with exact seeding: equal seeds start equal episodes.

Meta-World itself picks one of 50 stored layouts and ignores the seed of `reset`. Here the layout is drawn from the
seed, by Meta-World's own function and from the same distribution, and then kept while the simulator starts again. What
follows depends on the seed and the actions alone, whatever was played before.

Source: metaworld 3.1.1 (extra `metaworld`), McLean et al. 2025, "Meta-World+".
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.metaworld.tasks import MetaWorldTask

VERSION = "3.1.1"
"""Version of Meta-World with which everything was measured; others of 3.1 are accepted."""
INSTALL = f'run pip install "metaworld=={VERSION}" packaging, or pip install ".[metaworld]" in Astra\'s folder'
"""How to install Meta-World."""
LIMIT = 500
"""Timesteps of an episode. Source: Meta-World."""
FPS = 80.0
"""Timesteps per second: five steps of the physics, of 2.5 ms each."""


class Simulator:
    """Simulator of one task.

    Raises:
        ValueError: if Meta-World is missing or has another version.
    """

    def __init__(self, task: MetaWorldTask) -> None:
        """Load the scene of the task, which takes a tenth of a second."""
        self.task = task
        self.raw: Any = environment_class(task)()
        self.raw._set_task_called = True
        self.raw.seeded_rand_vec = True
        # The goal is part of the observation, as in Meta-World's multi-task benchmarks.
        self.raw._partially_observable = False
        self.raw.__dict__.pop("sawyer_observation_space", None)

    def reset(self, seed: int) -> Float[np.ndarray, "39"]:
        """Start the episode of a seed and return Meta-World's observation."""
        mujoco = importlib.import_module("mujoco")
        raw = self.raw
        raw.seed(seed)
        raw._freeze_rand_vec = False
        raw.reset()
        # The first layout is not yet in all parts of the state; with the layout kept, the second reset is exact.
        raw._freeze_rand_vec = True
        raw.reset()
        mujoco.mj_forward(raw.model, raw.data)  # window-close opens its window last, and would show it closed
        raw._prev_obs = raw._get_curr_obs_combined_no_goal()
        return raw._get_obs()

    def step(self, action: Float[np.ndarray, "4"]) -> tuple[Float[np.ndarray, "39"], float, bool]:
        """Move the hand and the fingers for one timestep.

        Returns:
            Meta-World's observation, its reward (0 to 10), and whether the task is solved at this timestep.
        """
        self.raw.curr_path_length = 0  # the environment counts the timesteps itself
        observation, reward, _, _, info = self.raw.step(action)
        return observation, float(reward), bool(info["success"])

    def close(self) -> None:
        """Release what the simulator holds."""
        self.raw.close()


def environment_class(task: MetaWorldTask) -> Any:
    """Return Meta-World's class for a task.

    Raises:
        ValueError: if Meta-World is missing or has another version.
    """
    _check_version()
    try:
        classes = importlib.import_module("metaworld.env_dict").ALL_V3_ENVIRONMENTS
    except ImportError as error:
        raise ValueError(f"cannot import Meta-World ({error}); {INSTALL}") from error
    return classes[f"{task.name}-v3"]


def expert_class(task: MetaWorldTask) -> Any:
    """Return the class of Meta-World's scripted expert for a task.

    Raises:
        ValueError: if Meta-World is missing or has another version.
    """
    environment_class(task)
    return importlib.import_module("metaworld.policies").ENV_POLICY_MAP[f"{task.name}-v3"]


def _check_version() -> None:
    try:
        found = version("metaworld")
    except PackageNotFoundError as error:
        raise ValueError(f"Meta-World is not installed; {INSTALL}") from error
    if found.split(".")[:2] != VERSION.split(".")[:2]:
        raise ValueError(f"Meta-World {found} is installed, but its episodes differ from those of {VERSION}; {INSTALL}")
