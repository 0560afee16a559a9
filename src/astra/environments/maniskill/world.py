"""The world of a robot arm in ManiSkill: what it observes, how it acts, and its grasp attempts; suites add tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation
from astra.environments.maniskill.attempts import NEAR, Attempts
from astra.environments.maniskill.layout import JOINTS
from astra.environments.maniskill.simulator import FPS, Simulator
from astra.environments.spaces import observation_space, unit_action, unit_action_space
from astra.storage.numbers import Count, Pixels, check_numbers
from astra.trajectory import ActionSpec, TrajectorySpec

ROBOT, SCENE = "observation.state", "observation.environment_state"
"""Column names of the state vectors: the robot; target and goal, which a real robot does not know."""
ROBOT_SIZE = 9 + 1 + JOINTS
"""Length of the robot's state vector."""
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
BOUND = 10.0
"""Largest absolute value of an observed number."""
Kind = Literal["images", "state"]
"""Observation beside the robot's state: two cameras; or, privileged, the exact poses of target and goal."""


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


def fitting_options(spec: TrajectorySpec, scene_size: int) -> ManiSkillOptions:
    """Return options with a policy's observations.

    Args:
        spec: What the policy observes, and its actions.
        scene_size: Length of the privileged state vector.

    Raises:
        ValueError: if the world does not have the policy's observations or actions.
    """
    states, images = dict(spec.states), dict(spec.images)
    sizes = {ROBOT: ROBOT_SIZE, SCENE: scene_size}
    if len(spec.actions) == len(ACTIONS) and spec.objects is None:
        if not images and states == sizes:
            return ManiSkillOptions(observation="state")
        sides = {side for size in images.values() for side in size}
        if states == {ROBOT: ROBOT_SIZE} and images.keys() == CAMERAS.keys() and len(sides) == 1:
            return ManiSkillOptions(observation="images", frame_size=sides.pop())
    raise ValueError(
        f"the policy observes {states | images} and has {len(spec.actions)} action dimensions; ManiSkill has {sizes}, "
        f"or {ROBOT} with square frames {', '.join(CAMERAS)}, and {len(ACTIONS)} action dimensions: choose another "
        "suite by --suite"
    )


class ArmWorld(Environment):
    """A robot arm at a table, which grasps a target.

    The episode succeeds, and ends, at the first timestep at which the task is done. `scores` has `lifted`, whether the
    target was lifted between the fingers. `info["attempts"]` has the timesteps at which grasp attempts began, and
    `info["is_miss"]` says whether the first one has failed.

    Args:
        options: Options of the world.
        scene_size: Length of the privileged state vector.
        instructions: Instructions of the demonstrations.
    """

    task: str
    metadata = {"render_modes": ["rgb_array"], "render_fps": round(FPS)}  # noqa: RUF012
    render_mode = "rgb_array"
    video_size = 256
    """Height and width of video frames, in pixels."""
    simulator: Simulator
    """Scene of the present episode."""
    entropy: tuple[int, ...] = ()
    """Numbers that seed all further chance of the present episode, such as what disturbs the expert."""

    def __init__(self, options: ManiSkillOptions, scene_size: int, instructions: Sequence[str]) -> None:
        self.options = options
        self.max_timesteps = options.max_timesteps
        self.attempts = Attempts()
        """Grasp attempts of the episode."""
        self._elapsed, self._gripper, self._success = 0, 1.0, False
        self._rest: float | None = None
        side = options.frame_size
        images = dict.fromkeys(CAMERAS, (side, side)) if options.observation == "images" else {}
        self.spec_of_trajectories = TrajectorySpec(
            states={ROBOT: ROBOT_SIZE} | ({} if images else {SCENE: scene_size}),
            actions=ACTIONS,
            images=images,
            instructions=tuple(sorted(instructions)),
            fps=FPS,
        )
        self.action_space = unit_action_space(self.spec_of_trajectories)
        self.observation_space = observation_space(self.spec_of_trajectories, BOUND)

    @property
    def sides(self) -> dict[str, int]:
        """Side in pixels of each camera."""
        side = self.options.frame_size
        return {"base": side, "hand": side, "video": self.video_size}

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move the gripper for one timestep. The reward is 1 at the success.

        Raises:
            ValueError: if the action is not seven finite numbers from -1 to 1, or no episode was started.
        """
        numbers = unit_action(action, len(ACTIONS), EXPECTED)
        if self._rest is None:
            raise ValueError("a step came before the first reset: call reset, which starts an episode")
        numbers[6] = self._gripper = 1.0 if numbers[6] > 0 else -1.0
        simulator = self.simulator
        near = self.at_target()
        simulator.step(numbers)
        self._success = succeeded = self.succeeded()
        truncated = self._elapsed + 1 >= self.max_timesteps and not succeeded
        self.attempts.note(
            self._elapsed,
            closes=self._gripper < 0,
            near=near,
            held=simulator.held,
            risen=float(simulator.objects[0].point[2] - self._rest),
            ends=truncated,
        )
        self._elapsed += 1
        return self.observe(), float(succeeded), succeeded, truncated, self._info()

    def observe(self) -> EnvironmentObservation:
        """Return the current observation."""
        vectors = {ROBOT: self._robot_vector(), SCENE: self.scene_vector()}
        observation = {
            name: vectors[name].clip(-BOUND, BOUND).astype(np.float32) for name in self.spec_of_trajectories.states
        }
        for name in self.spec_of_trajectories.images if self.renders else ():
            observation[name] = self.simulator.render(CAMERAS[name])
        return observation

    def at_target(self) -> bool:
        """Return whether the fingertips are within 8 cm of the target's middle, so that closing them is an attempt."""
        return bool(np.linalg.norm(self.simulator.tip.point - self.simulator.objects[0].point) < NEAR)

    def succeeded(self) -> bool:
        """Return whether the task is done now."""
        raise NotImplementedError

    def scene_vector(self) -> np.ndarray:
        """Return the privileged state vector."""
        raise NotImplementedError

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

    def _started(self) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Note that the scene of a new episode stands, and return what `reset` returns."""
        self.attempts = Attempts()
        self._elapsed, self._gripper, self._success = 0, 1.0, False
        self._rest = float(self.simulator.objects[0].point[2])
        return self.observe(), self._info()

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
        """Return what the robot feels. The last gripper action, which would be easy to copy, is not there."""
        simulator = self.simulator
        hand = simulator.in_base(simulator.tip)
        return np.concatenate([hand, [simulator.opening], simulator.joints[:JOINTS]])
