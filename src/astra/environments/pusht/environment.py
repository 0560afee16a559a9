"""The Push-T environment: gym-pusht with selectable goals and exact states.

Source: Florence et al., "Implicit Behavioral Cloning" (the task); gym-pusht 0.1.8 (the simulator, extra `pusht`).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
from jaxtyping import Bool, Float

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.pusht.geometry import BOARD, CENTER, Pose, check_goal, instruction_for, keypoints
from astra.storage.numbers import Count, Pixels, WholeShare, check_numbers
from astra.trajectory import ActionSpec, TrajectorySpec

if TYPE_CHECKING:
    from gym_pusht.envs.pusht import PushTEnv

AGENT, BLOCK, IMAGE = "observation.state", "observation.environment_state", "observation.image"
VISIBLE = "observation.visible"
"""Column names of the observations; VISIBLE only where the T is hidden at times."""
Kind = Literal["keypoints", "state", "pixels"]
"""Observation of the T: 16 keypoint coordinates, (x, y, cos, sin) of its pose, or an image of the board."""

FPS = 10.0
"""Timesteps per second."""
SUCCESS_COVERAGE = 0.95
"""An episode succeeds when the T covers more than this share of the goal."""


@dataclass(frozen=True, kw_only=True)
class PushTConfig:
    """Goal and observations of Push-T."""

    goal: Pose = CENTER
    """Goal pose (x, y, angle) in pixels and radians."""
    observation: Kind = "keypoints"
    """Observation of the T. The agent's position is always observed."""
    max_timesteps: Count = 200
    """Number of timesteps after which an episode is truncated."""
    frame_size: Pixels = 96
    """Height and width of `observation.image`, in pixels."""
    draw_goal: bool = False
    """Whether `observation.image` shows the goal. If it does, the instruction is redundant."""
    hidden: WholeShare = 0.0
    """Probability per timestep that the T is hidden: its vector is then zero, and so is `observation.visible`, which
    otherwise is one. At 0 there is no such column."""
    video_size: Pixels = 384
    """Height and width of video frames, in pixels. They always show the goal and the last action."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range, and the message names the field; or if pixels are to be hidden.
        """
        check_numbers(self, "")
        if self.hidden and self.observation == "pixels":
            raise ValueError(
                f"hidden={self.hidden} hides the vector of the T, and observation=pixels has none: choose keypoints or "
                "state"
            )

    def build(self) -> "PushT":
        """Build the environment."""
        return PushT(self)


class PushT(Environment):
    """Push-T with selectable goals, exact states and reproducible episodes.

    An action is the position in pixels to which a spring pulls the agent for 0.1 s. `reset` draws the start state as
    gym-pusht does. It takes the options `goal` (a pose for this episode) and `state` (see `set_state`). `info` holds
    what gym-pusht reports, `coverage` (0 to 1), `is_success` and `scores`. The score `reward` is min(coverage / 0.95,
    1).

    Raises:
        ValueError: if gym-pusht cannot be imported, or the T does not fit on the board at the goal.
    """

    task = "pusht"
    fps = FPS
    metadata = {"render_modes": ["rgb_array"], "render_fps": int(FPS)}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(self, config: PushTConfig) -> None:
        self.config = config
        self.goal = check_goal(config.goal)
        self.instruction = instruction_for(self.goal)
        self.max_timesteps = config.max_timesteps
        self.simulator = _simulator(config)
        self._elapsed = 0
        self._blinks = blinks(config.hidden, None)
        self._visible = True
        sizes = {} if config.observation == "pixels" else {BLOCK: 16 if config.observation == "keypoints" else 4}
        sizes |= {VISIBLE: 1} if config.hidden else {}
        pictures = {IMAGE: (config.frame_size, config.frame_size)} if config.observation == "pixels" else {}
        self.spec_of_trajectories = TrajectorySpec(
            states={AGENT: 2, **sizes},
            actions=ActionSpec(names=("x", "y"), low=(0.0, 0.0), high=(BOARD, BOARD)),
            images=pictures,
            instructions=(self.instruction,),
            fps=FPS,
        )
        self.action_space = gymnasium.spaces.Box(0.0, BOARD, (2,), np.float32)
        # A hard push overshoots the board by a few pixels, so the bounds are wider than the board.
        self.observation_space = gymnasium.spaces.Dict(  # pyright: ignore[reportAttributeAccessIssue]
            {
                **{name: _box(-BOARD, 2 * BOARD, (size,)) for name, size in self.spec_of_trajectories.states.items()},
                **{name: gymnasium.spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in pictures.items()},
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds give bitwise equal episodes.

        Raises:
            ValueError: for an unknown option, a goal off the board or an invalid state.
        """
        options = reset_options("Push-T", options, ("goal", "state"))
        self.goal = check_goal(options.get("goal", self.config.goal))
        self.instruction = instruction_for(self.goal)
        self.simulator.reset(seed=seed)
        self.np_random, self._np_random_seed = self.simulator.np_random, self.simulator.np_random_seed
        self._elapsed = 0
        self._blinks = blinks(self.config.hidden, seed)
        self._visible = next(self._blinks)
        if "state" in options:
            self.set_state(options["state"])
        else:
            self._start()
        coverage = self.simulator._get_coverage()
        return self.observe(), self._info(self.simulator._get_info(), coverage)

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Pull the agent towards the action for one timestep. Actions are clipped to the board.

        Raises:
            ValueError: if the action is not two finite numbers.
        """
        target = np.asarray(action, dtype=np.float64)
        if target.shape != (2,) or not np.isfinite(target).all():
            raise ValueError(f"a Push-T action is two finite numbers (target x, y in pixels), got {action!r}")
        _, _, _, _, info = self.simulator.step(self._vector(*np.clip(target, 0.0, BOARD).tolist()))
        self._elapsed += 1
        self._visible = next(self._blinks)
        info = self._info(info, info["coverage"])
        truncated = self._elapsed >= self.max_timesteps and not info["is_success"]
        return self.observe(), info["scores"]["reward"], info["is_success"], truncated, info

    def state(self) -> Float[np.ndarray, "5"]:
        """Return agent x and y, T x and y (pixels), and T angle (radians, not wrapped)."""
        agent, block = self.simulator.agent, self.simulator.block
        return np.array([*agent.position, *block.position, block.angle])

    def set_state(self, state: Sequence[float] | Float[np.ndarray, "5"]) -> None:
        """Set the exact state, at rest and without contacts from earlier steps.

        Args:
            state: agent x and y, T x and y (pixels), T angle (radians).

        Raises:
            ValueError: if the state is not five finite numbers.
        """
        values = np.asarray(state, dtype=np.float64)
        if values.shape != (5,) or not np.isfinite(values).all():
            raise ValueError(f"a Push-T state is five finite numbers (agent xy, T xy, T angle), got {state!r}")
        agent_x, agent_y, x, y, angle = values.tolist()
        simulator = self.simulator
        simulator._setup()  # a new space: cached contacts of the old one would affect the next timestep
        simulator.agent.position = agent_x, agent_y
        # Setting the angle rotates about the center of gravity, which moves the pose's origin: set the position last.
        simulator.block.angle = angle
        simulator.block.position = x, y
        simulator.space.reindex_shapes_for_body(simulator.agent)
        simulator.space.reindex_shapes_for_body(simulator.block)
        self._start()

    def frame(self) -> np.ndarray:
        """Render the board, the goal and a cross at the last action: uint8, height x width x 3."""
        return np.asarray(self.simulator.render())

    def render(self) -> np.ndarray:
        """Render the same image as `frame`."""
        return self.frame()

    def no_op_action(self) -> np.ndarray:
        """Return the agent's own position, which keeps it in place."""
        return np.asarray(self.simulator.agent.position, dtype=np.float32)

    def close(self) -> None:
        """Release the renderer."""
        self.simulator.close()

    def observe(self) -> EnvironmentObservation:
        """Return the current observation."""
        if self.config.observation == "pixels":
            return observe_state(self.state(), "pixels") | {IMAGE: self._picture()}
        seen = observe_state(self.state(), self.config.observation)
        return blinking(seen, np.array(self._visible)) if self.config.hidden else seen

    def _start(self) -> None:
        self.simulator.goal_pose = np.array(self.goal)  # gym-pusht resets the goal whenever it sets up a space
        self.simulator._last_action = None

    def _info(self, info: dict[str, Any], coverage: float) -> dict[str, Any]:
        coverage = float(coverage)
        scores = {"coverage": coverage, "reward": min(coverage / SUCCESS_COVERAGE, 1.0)}
        return {**info, "coverage": coverage, "is_success": coverage > SUCCESS_COVERAGE, "scores": scores}

    def _picture(self) -> np.ndarray:
        simulator = self.simulator
        if not self.config.draw_goal:
            simulator.goal_pose = np.array([-BOARD, -BOARD, 0.0])  # outside the image
        picture = simulator._render()
        simulator.goal_pose = np.array(self.goal)
        return np.asarray(picture)

    @staticmethod
    def _vector(x: float, y: float) -> Any:
        from pymunk import Vec2d  # bitwise equal to numpy and many times faster

        return Vec2d(x, y)


def observe_state(
    state: Sequence[float] | Float[np.ndarray, "*T 5"], observation: Kind = "keypoints"
) -> EnvironmentObservation:
    """Return the state vectors of observations from raw states, exactly as the environment does.

    Args:
        state: agent x and y, T x and y (pixels), T angle (radians); leading axes are kept.
        observation: observation of the T; "pixels" returns only the agent.
    """
    values = np.asarray(state, dtype=np.float64)
    columns = {AGENT: values[..., :2].astype(np.float32)}
    if observation == "keypoints":
        columns[BLOCK] = keypoints(values[..., 2:]).astype(np.float32)
    elif observation == "state":
        angle = values[..., 4:]
        columns[BLOCK] = np.concatenate([values[..., 2:4], np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
    return columns


def blinks(hidden: float, seed: int | None) -> Iterator[bool]:
    """Yield for one timestep after the other whether the T is visible. Equal seeds give equal timesteps.

    Args:
        hidden: probability that it is hidden.
        seed: seed of the episode; None: at random.
    """
    random = np.random.default_rng(None if seed is None else [seed, 2])
    while True:
        yield not hidden or bool(random.random() >= hidden)


def blinking(columns: EnvironmentObservation, visible: Bool[np.ndarray, "*T"]) -> EnvironmentObservation:
    """Return observations in which the T is hidden where it is not visible, with the column that says so."""
    shown = np.asarray(visible, np.float32)[..., None]
    return {**columns, BLOCK: columns[BLOCK] * shown, VISIBLE: shown}


def _box(low: float, high: float, shape: tuple[int, ...]) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(low, high, shape, np.float32)


def _simulator(config: PushTConfig) -> "PushTEnv":
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        from gym_pusht.envs.pusht import PushTEnv
    except ImportError as error:
        raise ValueError(
            f"cannot import Push-T ({error}); run pip install '.[pusht]' in Astra's folder; "
            "if libGL is missing, run pip install opencv-python-headless"
        ) from error
    return PushTEnv(
        obs_type="state",
        render_mode="rgb_array",
        observation_width=config.frame_size,
        observation_height=config.frame_size,
        visualization_width=config.video_size,
        visualization_height=config.video_size,
    )
