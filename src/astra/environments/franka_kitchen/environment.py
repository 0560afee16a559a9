"""The environment of Franka Kitchen: four of seven tasks per episode, states by name, two cameras, exact seeding."""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.franka_kitchen.coarse_model import coarse_copy
from astra.environments.franka_kitchen.simulator import FINGERS, JOINTS, TIMESTEP, Simulator
from astra.environments.franka_kitchen.tasks import (
    TASKS,
    TASKS_PER_EPISODE,
    KitchenTask,
    choose_tasks,
    instruction_for,
)
from astra.environments.mujoco_rendering import Camera, SceneRenderer, SquareRenderers
from astra.environments.spaces import observation_space, unit_action, unit_action_space
from astra.storage.numbers import Count, NotNegative, Pixels, check_numbers
from astra.trajectory import ActionSpec, TrajectorySpec

ROBOT, OBJECTS = "observation.state", "observation.environment_state"
"""Column names of the state vectors: joints and fingers of the robot; joints of the objects."""
OBJECT_JOINTS = {
    "knob at the bottom right": 9,
    "knob at the bottom left": 11,
    "knob at the top right": 13,
    "knob at the top left": 15,
    "light switch": 17,
    "slide cabinet": 19,
    "left door of the hinge cabinet": 20,
    "right door of the hinge cabinet": 21,
    "microwave": 22,
    **{f"kettle {part}": 23 + number for number, part in enumerate(("x", "y", "z", "qw", "qx", "qy", "qz"))},
}
"""Each number of the objects' state and its place among the positions. The burners and the lamp, which only follow a
knob and the switch, are left out."""
FOLLOWERS = ((9, 10, 174.0), (11, 12, 174.0), (13, 14, 174.0), (15, 16, 174.0), (17, 18, 14.0))
"""Place of each knob and of the switch, of the burner or lamp that follows it, and the ratio of their positions."""
SIZES = {ROBOT: 9, OBJECTS: len(OBJECT_JOINTS)}
"""Length of each state vector."""
CAMERAS = {
    "observation.images.kitchen": Camera(lookat=(-0.2, 0.5, 2.0), distance=2.2, azimuth=70.0, elevation=-35.0),
    "observation.images.near": Camera(lookat=(-0.35, 0.5, 2.15), distance=1.5, azimuth=110.0, elevation=-20.0),
}
"""The two cameras by column name: gymnasium-robotics' own view, and a nearer one from the other side."""
ACTIONS = ActionSpec(
    names=(*(f"joint {number}" for number in range(1, JOINTS + 1)), "left finger", "right finger"),
    low=(-1.0,) * 9,
    high=(1.0,) * 9,
)
"""Velocities of the joints and fingers; 1 moves the target by 0.16 rad (or m) per timestep."""
EXPECTED = (
    "an action of Franka Kitchen is nine finite numbers from -1 to 1 (velocities of seven joints and two fingers)"
)
FPS = 1 / TIMESTEP
"""Timesteps per second."""
BOUND = 10.0
"""Largest absolute value of an observed number; a kettle that fell off is clipped to it."""
Kind = Literal["state", "images"]
"""Observation beside the robot's joints: the objects as a state vector, or two cameras."""


@dataclass(frozen=True, kw_only=True)
class KitchenOptions:
    """Options of Franka Kitchen."""

    asked: tuple[str, ...] = ()
    """Names of the four tasks that every episode asks for; empty: the seed draws them."""
    observation: Kind = "state"
    """Observation beside the robot's joints: the objects as a state vector, or two cameras."""
    frame_size: Pixels = 96
    """Side in pixels of the frames that are observed, if any."""
    max_timesteps: Count = 280
    """Length of an episode in timesteps. Source: appendix A.10."""
    perturbation: NotNegative = 0.0
    """How far the start of each episode differs from the kitchen's own, which is always the same. 1: the arm by about
    0.1 rad per joint, the kettle by up to 1.5 cm and 0.1 rad, and each door, knob and switch is slightly open."""

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: if a number is out of range, a task is unknown or there are not four of them.
        """
        check_numbers(self, "")
        if self.asked:
            choose_tasks(self.asked)


class FrankaKitchen(Environment):
    """Four of seven tasks, which the instruction names and which may be done in any order.

    `reset` takes the option `tasks`, the names of four tasks. A task is done from the first timestep on at which its
    joints are near their goal. The episode succeeds and ends when the four are done. `scores` holds p1 to p4, where p3
    is 1 if at least three of the named tasks are done, their mean, and the number of tasks done that were not named.

    Raises:
        ValueError: if the simulator is missing or has a version that does not work, or no OpenGL works and images are
            observed.
    """

    task = "kitchen"
    metadata = {"render_modes": ["rgb_array"], "render_fps": round(FPS)}  # noqa: RUF012
    render_mode = "rgb_array"
    video_size = 256
    """Height and width of video frames, in pixels."""

    def __init__(self, options: KitchenOptions) -> None:
        self.options = options
        self.max_timesteps = options.max_timesteps
        self.simulator = Simulator()
        self.asked: tuple[KitchenTask, ...] = choose_tasks(options.asked or list(TASKS)[:TASKS_PER_EPISODE])
        """The tasks that the episode asks for."""
        self.done: dict[str, int] = {}
        """Timestep at which each task was done first."""
        self.instruction = instruction_for(self.asked)
        self._renderers, self._coarse_renderers = SquareRenderers(), SquareRenderers()
        self._elapsed = 0
        side = options.frame_size
        images = dict.fromkeys(CAMERAS, (side, side)) if options.observation == "images" else {}
        names = (ROBOT,) if images else tuple(SIZES)
        self.spec_of_trajectories = TrajectorySpec(
            states={name: SIZES[name] for name in names},
            actions=ACTIONS,
            images=images,
            instructions=(self.instruction,),
            fps=FPS,
        )
        self.action_space = unit_action_space(self.spec_of_trajectories)
        self.observation_space = observation_space(self.spec_of_trajectories, BOUND)
        if images:
            self._eye(side)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds give bitwise equal episodes.

        Raises:
            ValueError: for an unknown option or task, or if there are not four tasks.
        """
        super(Environment, self).reset(seed=seed)
        options = reset_options("Franka Kitchen", options, ("tasks",))
        drawn = self.np_random.choice(list(TASKS), TASKS_PER_EPISODE, replace=False).tolist()
        self.asked = choose_tasks(options.get("tasks", self.options.asked or drawn))
        self.instruction = instruction_for(self.asked)
        start = perturbed(self.simulator.start, self.options.perturbation, self.np_random)
        self.simulator.reset(int(self.np_random.integers(2**31)), start)
        self._elapsed, self.done = 0, {}
        self._note_done()
        return self.observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move the joints for one timestep. The reward is the number of named tasks that this timestep completes.

        Raises:
            ValueError: if the action is not nine finite numbers from -1 to 1.
        """
        numbers = unit_action(action, len(ACTIONS), EXPECTED)
        before = self._stages()
        self.simulator.step(numbers)
        self._elapsed += 1
        self._note_done()
        info = self._info()
        truncated = self._elapsed >= self.max_timesteps and not info["is_success"]
        return self.observe(), float(self._stages() - before), info["is_success"], truncated, info

    def observe(self) -> EnvironmentObservation:
        """Return the current observation."""
        vectors = {
            ROBOT: self.simulator.sensed,
            OBJECTS: self.simulator.positions[list(OBJECT_JOINTS.values())],
        }
        observation = {
            name: vectors[name].clip(-BOUND, BOUND).astype(np.float32) for name in self.spec_of_trajectories.states
        }
        return observation | (self.images(self.simulator.data) if self.renders else {})

    def images(self, data: Any) -> dict[str, np.ndarray]:
        """Return the observed frames of a state, a `mujoco.MjData`."""
        sides = {name: side for name, (side, _) in self.spec_of_trajectories.images.items()}
        return {name: self._eye(side).render(data, CAMERAS[name]) for name, side in sides.items()}

    def frame(self) -> np.ndarray:
        """Render gymnasium-robotics' own view: uint8, height x width x 3."""
        renderer = self._renderers.of(self.simulator.model, self.video_size)
        return renderer.render(self.simulator.data, CAMERAS["observation.images.kitchen"])

    def render(self) -> np.ndarray:
        """Render the same image as `frame`."""
        return self.frame()

    def no_op_action(self) -> np.ndarray:
        """Return the action that holds the arm where it is; with zeros it would sink by its weight."""
        action = np.zeros(len(ACTIONS), np.float32)
        action[:JOINTS] = self.simulator.hold().clip(-1, 1)
        return action

    def close(self) -> None:
        """Release the simulator and the renderers."""
        self._renderers.close()
        self._coarse_renderers.close()
        self.__dict__.pop("_coarse_model", None)
        self.simulator.close()

    def _eye(self, side: int) -> SceneRenderer:
        """Return the renderer of observed frames, which draws a sixth of the triangles."""
        return self._coarse_renderers.of(self._coarse_model, side)

    @functools.cached_property
    def _coarse_model(self) -> Any:
        return coarse_copy(self.simulator.model)

    def _note_done(self) -> None:
        positions = self.simulator.positions
        for name, task in TASKS.items():
            if name not in self.done and task.is_done(positions):
                self.done[name] = self._elapsed

    def _stages(self) -> int:
        return sum(task.name in self.done for task in self.asked)

    def _info(self) -> dict[str, Any]:
        stages = self._stages()
        reached = {f"p{number}": float(stages >= number) for number in range(1, TASKS_PER_EPISODE + 1)}
        scores = {**reached, "mean": stages / TASKS_PER_EPISODE, "not_named": float(len(self.done) - stages)}
        return {"is_success": stages == TASKS_PER_EPISODE, "scores": scores, "done": dict(self.done)}


def perturbed(start: Float[np.ndarray, "30"], strength: float, random: np.random.Generator) -> Float[np.ndarray, "30"]:
    """Return another start: the arm elsewhere, the kettle moved and turned a little, and every object slightly open.

    Args:
        start: Positions of the robot and of the objects.
        strength: How far it differs, see `KitchenOptions.perturbation`; 0: not at all.
        random: Generator; the number of draws does not depend on the strength.
    """
    positions = start.copy()
    positions[:JOINTS] += strength * random.normal(0.0, 0.1, JOINTS)
    positions[FINGERS] = (positions[FINGERS] + strength * random.uniform(-0.02, 0.0, 2)).clip(0.0, 0.04)
    # The most by which a knob, switch or door is opened: radians, and meters of the slide cabinet.
    opened = {9: -0.1, 11: -0.1, 13: -0.1, 15: -0.1, 17: -0.05, 19: 0.015, 20: -0.05, 21: 0.1, 22: -0.1}
    for joint, most in opened.items():
        positions[joint] += strength * most * random.uniform()
    for joint, follower, ratio in FOLLOWERS:
        positions[follower] = positions[joint] / ratio
    positions[23:25] += strength * random.uniform(-0.015, 0.015, 2)
    half_turn = strength * random.uniform(-0.05, 0.05)
    positions[26:30] = np.cos(half_turn), 0.0, 0.0, np.sin(half_turn)
    return start if strength == 0 else positions
