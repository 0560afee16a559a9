"""The environment of Meta-World: 50 tasks with instructions, states by name, two cameras and reproducible episodes."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.metaworld.simulator import FPS, LIMIT, Simulator
from astra.environments.metaworld.tasks import find_tasks
from astra.environments.mujoco_rendering import Camera, SceneRenderer, SquareRenderers
from astra.environments.spaces import observation_space, unit_action, unit_action_space
from astra.storage.numbers import Pixels, Range, check_numbers
from astra.trajectory import ActionSpec, TrajectorySpec

HAND, OBJECTS, GOAL = "observation.state", "observation.environment_state", "observation.goal"
"""Column names of the state vectors: position of the hand and opening of the gripper; position and quaternion of up to
two objects; position of the goal."""
SIZES = {HAND: 4, OBJECTS: 14, GOAL: 3}
"""Length of each state vector."""
CAMERAS = {
    "observation.images.corner": Camera(lookat=(0.0, 0.65, 0.1), distance=1.2, azimuth=130.0, elevation=-30.0),
    "observation.images.gripper": Camera(name="gripperPOV"),
}
"""The two cameras by column name: the table from a corner, nearer than Meta-World's own, and the view from the hand."""
ACTIONS = ActionSpec(names=("x", "y", "z", "gripper"), low=(-1.0,) * 4, high=(1.0,) * 4)
"""Displacement of the hand (1 is one centimeter) and effort of the fingers (1 closes, -1 opens)."""
EXPECTED = "an action of Meta-World is four finite numbers from -1 to 1 (x, y, z, gripper)"
BOUND = 10.0
"""Largest absolute value of an observed number; an object that fell off the table is clipped to it."""
Kind = Literal["state", "images"]
"""Observation beside hand and goal: the objects as a state vector, or two cameras."""
Limit = Annotated[int, Range(1, LIMIT)]
"""Number of timesteps of an episode, at most Meta-World's."""


@dataclass(frozen=True, kw_only=True)
class MetaWorldOptions:
    """Options of Meta-World."""

    known_tasks: tuple[str, ...] = ("mt50",)
    """Tasks among which --tasks chooses, by name, or mt10 or mt50. An evaluation takes those whose instruction the
    policy was trained on."""
    observation: Kind = "state"
    """Observation beside the hand and the goal: the objects as a state vector, or two cameras."""
    frame_size: Pixels = 96
    """Side in pixels of the frames that are observed, if any."""
    max_timesteps: Limit = LIMIT
    """Length of an episode in timesteps. Source: Meta-World."""

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: if a number is out of range or there is no such task; the message names it.
        """
        check_numbers(self, "")
        if not find_tasks(self.known_tasks):
            raise ValueError("Meta-World needs at least one task: leave --known-tasks out, or name mt10, mt50 or tasks")


class MetaWorld(Environment):
    """The tasks of Meta-World, one of which each episode plays.

    `reset` takes the option `task`; without it, the task stays. An episode ends at the first timestep at which the task
    is solved, which is Meta-World's own measure. `info` holds `is_success` and `scores`: `reward` is Meta-World's
    divided by ten.

    Raises:
        ValueError: if Meta-World is missing or has another version, or no OpenGL works and images are observed.
    """

    task: str
    metadata = {"render_modes": ["rgb_array"], "render_fps": int(FPS)}  # noqa: RUF012
    render_mode = "rgb_array"
    video_size = 256
    """Height and width of video frames, in pixels."""

    def __init__(self, options: MetaWorldOptions) -> None:
        self.options = options
        self.known = find_tasks(options.known_tasks)
        self.max_timesteps = options.max_timesteps
        self.simulator = Simulator(self.known[0])
        self.task, self.instruction = self.known[0].name, self.known[0].instruction
        self.full_observation = np.zeros(39)
        """Meta-World's own observation, which its experts read."""
        self._renderers = SquareRenderers()
        self._elapsed = 0
        side = options.frame_size
        images = dict.fromkeys(CAMERAS, (side, side)) if options.observation == "images" else {}
        names = (HAND, GOAL) if images else tuple(SIZES)
        self.spec_of_trajectories = TrajectorySpec(
            states={name: SIZES[name] for name in names},
            actions=ACTIONS,
            images=images,
            instructions=tuple(sorted(task.instruction for task in self.known)),
            fps=FPS,
        )
        self.action_space = unit_action_space(self.spec_of_trajectories)
        self.observation_space = observation_space(self.spec_of_trajectories, BOUND)
        if images:
            self._renderer(side)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds give bitwise equal episodes of a task.

        Raises:
            ValueError: for an unknown option or task.
        """
        super(Environment, self).reset(seed=seed)
        options = reset_options("Meta-World", options, ("task",))
        name = options.get("task", self.task)
        task, *others = find_tasks((name,))
        if others:
            raise ValueError(
                f"an episode of Meta-World plays one task, got {name!r}, which stands for {len(others) + 1}"
            )
        if task is not self.simulator.task:
            self._release()
            self.simulator = Simulator(task)
        self.task, self.instruction = task.name, task.instruction
        self.full_observation = self.simulator.reset(int(self.np_random.integers(2**31)))
        self._elapsed = 0
        return self.observe(), {"is_success": False, "scores": {"reward": 0.0}}

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move the hand and the fingers for one timestep.

        Raises:
            ValueError: if the action is not four finite numbers from -1 to 1.
        """
        numbers = unit_action(action, len(ACTIONS), EXPECTED)
        self.full_observation, reward, success = self.simulator.step(numbers)
        self._elapsed += 1
        info = {"is_success": success, "scores": {"reward": float(np.clip(reward / 10, 0, 1))}}
        return self.observe(), reward, success, self._elapsed >= self.max_timesteps and not success, info

    def observe(self) -> EnvironmentObservation:
        """Return the current observation."""
        vectors = observe_vectors(self.full_observation)
        observation = {name: vectors[name] for name in self.spec_of_trajectories.states}
        for name, (side, _) in self.spec_of_trajectories.images.items() if self.renders else ():
            observation[name] = self._renderer(side).render(self.simulator.raw.data, CAMERAS[name])
        return observation

    def frame(self) -> np.ndarray:
        """Render the table from the corner, with the goal: uint8, height x width x 3."""
        renderer = self._renderer(self.video_size)
        return renderer.render(self.simulator.raw.data, CAMERAS["observation.images.corner"])

    def render(self) -> np.ndarray:
        """Render the same image as `frame`."""
        return self.frame()

    def no_op_action(self) -> np.ndarray:
        """Return zeros: the hand stays, and the fingers stay half open."""
        return np.zeros(4, np.float32)

    def close(self) -> None:
        """Release the simulator and the renderers."""
        self._release()

    def _release(self) -> None:
        self._renderers.close()
        self.simulator.close()

    def _renderer(self, side: int) -> SceneRenderer:
        return self._renderers.of(self.simulator.raw.model, side)


def observe_vectors(full: np.ndarray) -> dict[str, np.ndarray]:
    """Return the state vectors from Meta-World's observation of 39 numbers.

    Its other 18 numbers are the hand and the objects one timestep earlier; a policy has its history for that.
    """
    parts = {HAND: full[:4], OBJECTS: full[4:18], GOAL: full[36:39]}
    return {name: part.clip(-BOUND, BOUND).astype(np.float32) for name, part in parts.items()}
