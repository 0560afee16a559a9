"""The environment of ManiSkill: pick an object, place it into a container, from two cameras or from exact states."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.maniskill.attempts import Attempts
from astra.environments.maniskill.layout import JOINTS, Layout, sample_layout
from astra.environments.maniskill.levels import TRAINING, combinations_of, distractors_of, find_combination
from astra.environments.maniskill.objects import CONTAINERS
from astra.environments.maniskill.simulator import FPS, Simulator
from astra.environments.spaces import observation_space, unit_action, unit_action_space
from astra.storage.numbers import Count, Pixels, check_numbers
from astra.trajectory import ActionSpec, TrajectorySpec

ROBOT, SCENE = "observation.state", "observation.environment_state"
"""Column names of the state vectors: the robot; target and container, which a real robot does not know."""
SIZES = {ROBOT: 9 + 1 + JOINTS + 1, SCENE: 2 * (9 + 3)}
"""Length of each state vector."""
CAMERAS = {"observation.images.base": "base", "observation.images.hand": "hand"}
"""The two cameras by column name: one that looks at the robot and the table, and one at the hand."""
ACTIONS = ActionSpec(
    names=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    low=(-1.0,) * 7,
    high=(1.0,) * 7,
    binary=(False,) * 6 + (True,),
)
"""Steps of the gripper's pose in the frame of the robot's base, and the gripper: 1 opens, -1 closes. A position of 1 is
10 cm per timestep. A rotation of 1 is **-0.1** rad about that axis: ManiSkill's controller turns the other way. A
rotation longer than 1 is shortened to 1. The arm lags behind: a timestep makes less than half of a step."""
BINS = 101
"""Bins per dimension of discrete actions; an odd number has one whose center is zero, at which the hand rests."""
EXPECTED = (
    "an action of ManiSkill is seven finite numbers from -1 to 1 (steps in x, y, z, roll, pitch, yaw, and the gripper)"
)
STILL = 0.05
"""Largest speed in meters per second of a target that lies in its container."""
BOUND = 10.0
"""Largest absolute value of an observed number."""
Kind = Literal["images", "state"]
"""Observation beside the robot's state: two cameras; or, privileged, the exact poses of target and container."""


@dataclass(frozen=True, kw_only=True)
class ManiSkillOptions:
    """Options of ManiSkill."""

    observation: Kind = "images"
    """Observation beside the robot's state: two cameras; or state, which is privileged: the exact poses and sizes of
    the target and the container, so that the instruction tells nothing new."""
    frame_size: Pixels = 64
    """Side in pixels of the frames that are observed, if any."""
    max_timesteps: Count = 100
    """Length of an episode in timesteps. Source: section 4.4."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a number is out of range.
        """
        check_numbers(self, "")


class ManiSkill(Environment):
    """Pick the object that the instruction names, and place it into the container.

    `reset` takes the options `level` and `task`, the name of a combination of target and container. The episode
    succeeds, and ends, at the first timestep at which the target is in the container and at rest, and nothing of the
    gripper touches it. `scores` has `lifted`, whether the target was lifted between the fingers. `info["attempts"]` has
    the timesteps at which grasp attempts began, and `info["is_miss"]` says whether the first one has failed.

    Raises:
        ValueError: if ManiSkill is missing or has another version, or no Vulkan driver works.
    """

    task: str
    metadata = {"render_modes": ["rgb_array"], "render_fps": round(FPS)}  # noqa: RUF012
    render_mode = "rgb_array"
    video_size = 256
    """Height and width of video frames, in pixels."""

    def __init__(self, options: ManiSkillOptions) -> None:
        self.options = options
        self.max_timesteps = options.max_timesteps
        self.combination = combinations_of(TRAINING)[0]
        """Target and container of the episode."""
        self.layout: Layout = sample_layout(self.combination, (0, 0), np.random.default_rng(0))
        """Objects of the episode and their places at the start."""
        side = options.frame_size
        self.simulator = Simulator(self.layout, {"base": side, "hand": side, "video": self.video_size})
        self.task, self.instruction = self.combination.name, self.combination.instruction
        self.attempts = Attempts()
        """Grasp attempts of the episode."""
        self.renders = True
        """Whether observations have their images, which cost most of the time."""
        self._elapsed, self._gripper, self._success = 0, 1.0, False
        images = dict.fromkeys(CAMERAS, (side, side)) if options.observation == "images" else {}
        self.spec_of_trajectories = TrajectorySpec(
            states={name: size for name, size in SIZES.items() if name == ROBOT or not images},
            actions=ACTIONS,
            images=images,
            instructions=tuple(sorted(each.instruction for each in combinations_of(TRAINING))),
            fps=FPS,
        )
        self.action_space = unit_action_space(self.spec_of_trajectories)
        self.observation_space = observation_space(self.spec_of_trajectories, BOUND)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds and options give bitwise equal episodes.

        Raises:
            ValueError: for an unknown option, level or task.
        """
        super(Environment, self).reset(seed=seed)
        options = reset_options("ManiSkill", options, ("level", "task"))
        level = str(options.get("level", TRAINING))
        offered = combinations_of(level)
        drawn = offered[int(self.np_random.integers(len(offered)))]
        self.combination = find_combination(level, str(options["task"])) if "task" in options else drawn
        self.task, self.instruction = self.combination.name, self.combination.instruction
        self.layout = sample_layout(self.combination, distractors_of(level), self.np_random)
        self.simulator.reset(self.layout)
        self.attempts = Attempts()
        self._elapsed, self._gripper, self._success = 0, 1.0, False
        self._rest = self.simulator.objects[0].point[2]
        return self.observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move the gripper for one timestep. The reward is 1 at the success.

        Raises:
            ValueError: if the action is not seven finite numbers from -1 to 1.
        """
        numbers = unit_action(action, len(ACTIONS), EXPECTED)
        numbers[6] = self._gripper = 1.0 if numbers[6] > 0 else -1.0
        simulator = self.simulator
        distance = float(np.linalg.norm(simulator.tip.point - simulator.objects[0].point))
        simulator.step(numbers)
        self._success = succeeded = self._succeeded()
        truncated = self._elapsed + 1 >= self.max_timesteps and not succeeded
        self.attempts.note(
            self._elapsed,
            closes=self._gripper < 0,
            distance=distance,
            held=simulator.held,
            risen=float(simulator.objects[0].point[2] - self._rest),
            ends=succeeded or truncated,
        )
        self._elapsed += 1
        return self.observe(), float(succeeded), succeeded, truncated, self._info()

    def observe(self) -> EnvironmentObservation:
        """Return the current observation."""
        vectors = {ROBOT: self._robot_vector(), SCENE: self._scene_vector()}
        observation = {
            name: vectors[name].clip(-BOUND, BOUND).astype(np.float32) for name in self.spec_of_trajectories.states
        }
        for name in self.spec_of_trajectories.images if self.renders else ():
            observation[name] = self.simulator.render(CAMERAS[name])
        return observation

    def frame(self) -> np.ndarray:
        """Render the view of the base camera: uint8, height x width x 3."""
        return self.simulator.render("video")

    def render(self) -> np.ndarray:
        """Render the same image as `frame`."""
        return self.frame()

    def no_op_action(self) -> np.ndarray:
        """Return the action that keeps the gripper where and as it is."""
        action = np.zeros(len(ACTIONS), np.float32)
        action[6] = self._gripper
        return action

    def close(self) -> None:
        """Release the simulator."""
        self.simulator.close()

    def _succeeded(self) -> bool:
        simulator, container = self.simulator, CONTAINERS[self.combination.container]
        place = simulator.container
        inside = container.holds(place.turn.T @ (simulator.objects[0].point - place.point))
        return inside and not simulator.touched and simulator.speed < STILL

    def _info(self) -> dict[str, Any]:
        attempts = self.attempts
        begun = {f"grasp {number}": timestep for number, timestep in enumerate(attempts.begun, start=1)}
        return {
            "is_success": self._success,
            "is_miss": attempts.first_failed,
            "attempts": tuple(attempts.begun),
            "scores": {"lifted": float(any(attempts.lifted))},
            "done": begun,
        }

    def _robot_vector(self) -> np.ndarray:
        simulator = self.simulator
        hand = simulator.in_base(simulator.tip)
        return np.concatenate([hand, [simulator.opening], simulator.joints[:JOINTS], [self._gripper]])

    def _scene_vector(self) -> np.ndarray:
        simulator, container = self.simulator, CONTAINERS[self.combination.container]
        target = simulator.in_base(simulator.objects[0])
        place = simulator.in_base(simulator.container)
        return np.concatenate([target, self.combination.target.half, place, [*container.inner, container.height]])
