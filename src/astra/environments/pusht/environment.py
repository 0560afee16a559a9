"""Push-T: a round agent pushes a T onto a goal pose; gym-pusht behind astra's interface.

Source: Florence et al., "Implicit Behavioral Cloning" (the task); gym-pusht 0.1.8 (the simulator, extra `pusht`).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
from jaxtyping import Float

from astra.environments.environment import Environment, EnvironmentObservation
from astra.environments.pusht.geometry import BOARD, CENTER, Pose, check_goal, instruction_for, keypoints
from astra.trajectory import ActionSpec, TrajectorySpec

if TYPE_CHECKING:
    from gym_pusht.envs.pusht import PushTEnv

AGENT, BLOCK, IMAGE = "observation.state", "observation.environment_state", "observation.image"
Kind = Literal["keypoints", "state", "pixels"]
"""How the T is seen: 16 coordinates of its corners, (x, y, cos, sin) of its pose, or a picture of the board."""

FPS = 10.0
"""Timesteps per second."""
SUCCESS_COVERAGE = 0.95
"""An episode succeeds once more than this share of the goal is covered."""


@dataclass(frozen=True, kw_only=True)
class PushTConfig:
    """Which Push-T: the goal, and what of it is seen."""

    goal: Pose = CENTER
    """Goal pose (x, y, angle) in pixels and radians."""
    observation: Kind = "keypoints"
    """How the T is seen; the agent's position is always seen."""
    max_timesteps: int = 200
    """Episodes are truncated after so many timesteps."""
    frame_size: int = 96
    """Side of `observation.image` in pixels."""
    draw_goal: bool = False
    """Whether `observation.image` shows the goal, which then makes the instruction needless."""
    video_size: int = 384
    """Side in pixels of the frames for videos; these always show the goal and the last action."""

    def build(self) -> "PushT":
        """Return the environment."""
        return PushT(self)


class PushT(Environment):
    """Push-T with its goal pose as a choice, exact states and equal episodes for equal seeds.

    An action is the position in pixels to which a spring pulls the agent for a tenth of a second. `reset` draws the
    start as gym-pusht does, and takes the options `goal` (a pose for this episode) and `state` (see `set_state`).
    `info` holds what gym-pusht reports, `coverage` (0 to 1), `is_success` and `scores`, the score `reward` being
    min(coverage / 0.95, 1).

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
        sizes = {} if config.observation == "pixels" else {BLOCK: 16 if config.observation == "keypoints" else 4}
        pictures = {IMAGE: (config.frame_size, config.frame_size)} if config.observation == "pixels" else {}
        self.spec_of_trajectories = TrajectorySpec(
            states={AGENT: 2, **sizes},
            actions=ActionSpec(names=("x", "y"), low=(0.0, 0.0), high=(BOARD, BOARD)),
            images=pictures,
            instructions=(self.instruction,),
            fps=FPS,
        )
        self.action_space = gymnasium.spaces.Box(0.0, BOARD, (2,), np.float32)
        # A hard shove overshoots the board by a few pixels, so the bounds lie well outside it.
        self.observation_space = gymnasium.spaces.Dict(  # pyright: ignore[reportAttributeAccessIssue]
            {
                **{name: _box(-BOARD, 2 * BOARD, (size,)) for name, size in self.spec_of_trajectories.states.items()},
                **{name: gymnasium.spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in pictures.items()},
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode; equal seeds give equal episodes, bit for bit.

        Raises:
            ValueError: for an unknown option, a goal off the board or a bad state.
        """
        options = options or {}
        if unknown := sorted(set(options) - {"goal", "state"}):
            raise ValueError(f"Push-T knows the reset options 'goal' and 'state', got {unknown}")
        self.goal = check_goal(options.get("goal", self.config.goal))
        self.instruction = instruction_for(self.goal)
        self.simulator.reset(seed=seed)
        self.np_random, self._np_random_seed = self.simulator.np_random, self.simulator.np_random_seed
        self._elapsed = 0
        if "state" in options:
            self.set_state(options["state"])
        else:
            self._start()
        coverage = self.simulator._get_coverage()
        return self.observe(), self._info(self.simulator._get_info(), coverage)

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Pull the agent towards the action, clipped to the board, for one timestep.

        Raises:
            ValueError: if the action is not two finite numbers.
        """
        target = np.asarray(action, dtype=np.float64)
        if target.shape != (2,) or not np.isfinite(target).all():
            raise ValueError(f"a Push-T action is two finite numbers, the agent's target in pixels, got {action!r}")
        _, _, _, _, info = self.simulator.step(self._vector(*np.clip(target, 0.0, BOARD).tolist()))
        self._elapsed += 1
        info = self._info(info, info["coverage"])
        truncated = self._elapsed >= self.max_timesteps and not info["is_success"]
        return self.observe(), info["scores"]["reward"], info["is_success"], truncated, info

    def state(self) -> Float[np.ndarray, "5"]:
        """Return agent x and y, T x and y (pixels), T angle (radians, not wrapped)."""
        agent, block = self.simulator.agent, self.simulator.block
        return np.array([*agent.position, *block.position, block.angle])

    def set_state(self, state: Sequence[float] | Float[np.ndarray, "5"]) -> None:
        """Put agent and T exactly where the state says, at rest, with no memory of earlier contacts.

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
        simulator._setup()  # a new space: contacts that the old one caches would act on the next timestep
        simulator.agent.position = agent_x, agent_y
        # Turning goes about the center of gravity, which is not the origin of the pose: angle first, then position.
        simulator.block.angle = angle
        simulator.block.position = x, y
        simulator.space.reindex_shapes_for_body(simulator.agent)
        simulator.space.reindex_shapes_for_body(simulator.block)
        self._start()

    def frame(self) -> np.ndarray:
        """Render the board with the goal and a cross at the last action: uint8, height x width x 3."""
        return np.asarray(self.simulator.render())

    def render(self) -> np.ndarray:
        """Render as `frame` does."""
        return self.frame()

    def no_op_action(self) -> np.ndarray:
        """Return the agent's own position: it stays where it is."""
        return np.asarray(self.simulator.agent.position, dtype=np.float32)

    def close(self) -> None:
        """Release the renderer."""
        self.simulator.close()

    def observe(self) -> EnvironmentObservation:
        """Return what is seen now."""
        if self.config.observation == "pixels":
            return observe_state(self.state(), "pixels") | {IMAGE: self._picture()}
        return observe_state(self.state(), self.config.observation)

    def _start(self) -> None:
        self.simulator.goal_pose = np.array(self.goal)  # gym-pusht puts its own goal back whenever it sets up a space
        self.simulator._last_action = None

    def _info(self, info: dict[str, Any], coverage: float) -> dict[str, Any]:
        coverage = float(coverage)
        scores = {"coverage": coverage, "reward": min(coverage / SUCCESS_COVERAGE, 1.0)}
        return {**info, "coverage": coverage, "is_success": coverage > SUCCESS_COVERAGE, "scores": scores}

    def _picture(self) -> np.ndarray:
        simulator = self.simulator
        if not self.config.draw_goal:
            simulator.goal_pose = np.array([-BOARD, -BOARD, 0.0])  # out of the picture
        picture = simulator._render()
        simulator.goal_pose = np.array(self.goal)
        return np.asarray(picture)

    @staticmethod
    def _vector(x: float, y: float) -> Any:
        from pymunk import Vec2d  # its arithmetic gives the same bits as numpy's, many times faster

        return Vec2d(x, y)


def observe_state(
    state: Sequence[float] | Float[np.ndarray, "*T 5"], observation: Kind = "keypoints"
) -> EnvironmentObservation:
    """Return the state vectors of an observation from raw states, one or many, as the environment itself does.

    Args:
        state: agent x and y, T x and y (pixels), T angle (radians); leading axes are kept.
        observation: how the T is seen; "pixels" gives the agent alone.
    """
    values = np.asarray(state, dtype=np.float64)
    columns = {AGENT: values[..., :2].astype(np.float32)}
    if observation == "keypoints":
        columns[BLOCK] = keypoints(values[..., 2:]).astype(np.float32)
    elif observation == "state":
        angle = values[..., 4:]
        columns[BLOCK] = np.concatenate([values[..., 2:4], np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
    return columns


def _box(low: float, high: float, shape: tuple[int, ...]) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(low, high, shape, np.float32)


def _simulator(config: PushTConfig) -> "PushTEnv":
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        from gym_pusht.envs.pusht import PushTEnv
    except ImportError as error:
        raise ValueError(
            f"Push-T cannot be loaded ({error}); install it: pip install '.[pusht]' in Astra's folder; where libGL is "
            "missing: pip install opencv-python-headless"
        ) from error
    return PushTEnv(
        obs_type="state",
        render_mode="rgb_array",
        observation_width=config.frame_size,
        observation_height=config.frame_size,
        visualization_width=config.video_size,
        visualization_height=config.video_size,
    )
