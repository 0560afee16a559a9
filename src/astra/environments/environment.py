"""The contract of an environment: gymnasium's API, an instruction and named observations."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gymnasium
import numpy as np

from astra.objects import Pictures
from astra.trajectory import TrajectorySpec

EnvironmentObservation = dict[str, np.ndarray]
"""Observation of one timestep by LeRobot's column names: `observation.state`, `observation.environment_state`
(float32), `observation.image` or `observation.images.NAME` (uint8, height x width x 3), and the objects of each view:
`observation.objects.VIEW.crops` (uint8, O x 32 x 32 x 3), `.boxes` (float32, O x 4: x and y of the center, height and
width in pixels of the view) and `.valid` (bool, O; False where an object is hidden or gone)."""


class Environment(gymnasium.Env[EnvironmentObservation, np.ndarray]):
    """Environment of a benchmark; it knows no policy, and policies do not know it.

    Equal seeds give equal episodes: `reset(seed=s)` starts the same episode for the same s, bit for bit.

    `step` always reports `info["is_success"]`. `info["scores"]` is a dict of further measures of this timestep, larger
    is better, such as {"coverage": 0.4}; an evaluation takes their maximum over the episode. `info["done"]`, which is
    optional, has the timestep at which each part of the task was done first, such as {"microwave": 35}. Also optional
    are `info["is_miss"]`, whether an action missed, and `info["attempts"]`, the timesteps at which attempts began.

    The instruction may change inside an episode, as in chains of tasks. Then the agent starts again with an empty
    history, while the world goes on.
    """

    instruction: str
    """Present instruction, set by `reset`; `step` may change it. Pictures belong at its placeholders, as in "put the
    {dragged_obj} into the {base_obj}."."""
    prompt_pictures: Pictures = MappingProxyType({})
    """Pictures at the instruction's placeholders; they change together with it. Empty: the prompt is words alone."""
    task: str
    """Name of the task, by which results are grouped."""
    spec_of_trajectories: TrajectorySpec
    """Names, sizes and bounds of observations and actions."""
    max_timesteps: int
    """Timesteps after which an episode ends, even if the environment does not truncate it; `reset` may change it."""
    renders: bool = True
    """Whether observations have their images; False where nobody looks at them. A world in which images cost little
    need not heed it."""

    def frame(self) -> np.ndarray:
        """Render the world for a video: uint8, height x width x 3."""
        raise NotImplementedError(f"{type(self).__name__} lacks frame(), the picture of the world for a video")

    def no_op_action(self) -> np.ndarray:
        """Return the action that does nothing in the present state; the no-op baseline repeats it."""
        raise NotImplementedError(f"{type(self).__name__} lacks no_op_action(), the action that does nothing")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode."""
        raise NotImplementedError


def is_success(world: Environment, info: Mapping[str, Any]) -> bool:
    """Return whether `step` reported a success.

    Raises:
        ValueError: if it did not say.
    """
    if "is_success" not in info:
        raise ValueError(
            f"{type(world).__name__}.step must report info['is_success'] at every timestep, got an info with "
            f"{', '.join(info) or 'nothing'}"
        )
    return bool(info["is_success"])


def reset_options(world: str, options: Mapping[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """Return the options of `reset`.

    Args:
        world: Name of the world, for the message.
        options: Options that were given.
        known: Names of the options that the world has.

    Raises:
        ValueError: if one is unknown.
    """
    options = dict(options or {})
    if unknown := sorted(set(options) - set(known)):
        *others, last = map(repr, known)
        named = f"options {', '.join(others)} and {last}" if others else f"option {last}"
        raise ValueError(f"{world} has the reset {named}, got {unknown}")
    return options
