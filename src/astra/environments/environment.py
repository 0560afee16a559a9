"""The contract of an environment: gymnasium's API plus an instruction and named observations."""

from types import MappingProxyType
from typing import Any

import gymnasium
import numpy as np

from astra.objects import Pictures
from astra.trajectory import TrajectorySpec

EnvironmentObservation = dict[str, np.ndarray]
"""One timestep by LeRobot's column names: `observation.state`, `observation.environment_state` (float32),
`observation.image` or `observation.images.NAME` (uint8, height x width x 3), and objects per view:
`observation.objects.VIEW.crops` (uint8, O x 32 x 32 x 3), `.boxes` (float32, O x 4: x and y of the center, height and
width in pixels of the view) and `.valid` (bool, O; False where an object is hidden or gone)."""


class Environment(gymnasium.Env[EnvironmentObservation, np.ndarray]):
    """One benchmark behind one interface; it knows no policy, and policies do not know it.

    `reset(seed=s)` gives the same episode for the same seed, bit for bit. `step` reports `info["is_success"]`
    always. `info["scores"]` is a dict of further measures of this timestep, larger is better, such as
    {"coverage": 0.4}; an evaluation takes their maximum over the episode.
    """

    instruction: str
    """What the agent is told in this episode; may change at `reset`. Pictures stand at its placeholders, as in "put
    the {dragged_obj} into the {base_obj}."."""
    prompt_pictures: Pictures = MappingProxyType({})
    """The pictures of the instruction's placeholders, set at `reset`; empty where it is words alone."""
    task: str
    """Name of the task, by which results are grouped."""
    spec_of_trajectories: TrajectorySpec
    """Names, sizes and bounds of what is seen and done here."""
    max_timesteps: int
    """Episodes are truncated after so many timesteps."""

    def frame(self) -> np.ndarray:
        """Render the world for a video: uint8, height x width x 3."""
        raise NotImplementedError

    def no_op_action(self) -> np.ndarray:
        """Return the action that does nothing now; the floor of every evaluation repeats it."""
        raise NotImplementedError

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode."""
        raise NotImplementedError
