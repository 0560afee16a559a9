"""The tabletop: a two-dimensional lookalike of VIMA-Bench that needs no download.

It has VIMA-Bench's tasks by meaning, its levels, workspace, sizes and tolerances, but flat physics and pictures of our
own: its numbers are never VIMA-Bench numbers.

Source: Jiang et al., "VIMA: General Robot Manipulation with Multimodal Prompts", 2022.
Deviation: poses are SE(2), x, y and angle, instead of positions and quaternions; there is no arm; the limit is the
oracle's number of steps in this episode plus 2, where VIMA-Bench adds 2 to a number per task that allows for mistakes.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation
from astra.environments.object_views import object_views
from astra.environments.tabletop.drawing import (
    HEIGHT,
    SMALL_HEIGHT,
    SMALL_WIDTH,
    VIEWS,
    WHITE,
    WIDTH,
    draw,
    halved,
)
from astra.environments.tabletop.expert import next_action, steps_needed
from astra.environments.tabletop.goals import Sweeping
from astra.environments.tabletop.layout import Layout, NoRoom, Picture, Problem
from astra.environments.tabletop.levels import TASKS_OF_LEVELS, check_tasks, content_of
from astra.environments.tabletop.scene import X_RANGE, Y_RANGE, Scene, require_pymunk
from astra.environments.tabletop.tasks.comparing import novel_adj, novel_adj_and_noun
from astra.environments.tabletop.tasks.moving import follow_motion, follow_order, rearrange, rearrange_then_restore
from astra.environments.tabletop.tasks.putting import (
    novel_noun,
    same_shape,
    same_texture,
    scene_understanding,
    visual_manipulation,
)
from astra.environments.tabletop.tasks.remembering import manipulate_old_neighbor, pick_in_order_then_restore
from astra.environments.tabletop.tasks.sweeping import sweep_without_exceeding, sweep_without_touching
from astra.environments.tabletop.tasks.turning import rotate, twist
from astra.objects import CROP, ObjectSpec, Pictures
from astra.trajectory import ActionSpec, TrajectorySpec

TASKS: dict[str, Callable[[Layout], Problem]] = {
    task.__name__: task
    for task in (
        *(visual_manipulation, scene_understanding, rotate, novel_adj, novel_noun, twist, follow_order, rearrange),
        *(manipulate_old_neighbor, pick_in_order_then_restore, rearrange_then_restore, same_shape),
        *(sweep_without_exceeding, novel_adj_and_noun, follow_motion, same_texture, sweep_without_touching),
    )
}
"""Every task, by name."""
ACTIONS = ActionSpec(
    names=("x0", "y0", "angle0", "x1", "y1", "angle1"),
    low=2 * (X_RANGE[0], Y_RANGE[0], -math.pi),
    high=2 * (X_RANGE[1], Y_RANGE[1], math.pi),
    periodic=2 * (False, False, True),
    bins=2 * (50, 100, 72),
)
"""Two poses, in meters and radians. Source: the bins of x and y are VIMA's; an angle takes 5 degrees."""
END_EFFECTOR = "observation.end_effector"
MAX_OBJECTS, MAX_PICTURED = 8, 9
"""Rows for objects in an observation, and the most objects that a prompt shows."""
OBJECTS = ObjectSpec(views=dict.fromkeys(VIEWS, (HEIGHT, WIDTH)), max_objects=MAX_OBJECTS, max_pictured=MAX_PICTURED)
"""How objects are seen."""
FRAMES = {f"observation.images.{view}": (SMALL_HEIGHT, SMALL_WIDTH) for view in VIEWS}
"""Height and width of the frames, where observations hold them."""
FPS = 1.0
"""One decision per step."""
BONUS_STEPS = 2
"""Steps that an episode has beyond the oracle's. Source: VIMA-Bench."""
_ATTEMPTS = 500


@dataclass(frozen=True, kw_only=True)
class TabletopConfig:
    """Which tasks, at which level, and what is seen."""

    level: str = "L1"
    """Generalization level: train, L1, L2, L3 or L4."""
    tasks: tuple[str, ...] = ()
    """Tasks among which each episode draws; empty: all of the level."""
    frames: bool = False
    """Whether observations hold each view's frame, of 64 x 128 pixels, beside crops and boxes."""

    def build(self) -> "Tabletop":
        """Return the environment."""
        return Tabletop(self)


class Tabletop(Environment):
    """Pick-and-place and sweeping by prompts that mix words and pictures.

    An action is (x, y, angle) of two poses. With suction, the thing at the first pose is picked, put down at the
    second and turned by the difference of the angles; with the spatula, a blade sweeps from the first pose to the
    second. `reset` takes the options `task` and `level`. `info` holds `is_success`, `is_failure`, which ends an episode
    too, and `scores`, the score `goals` being the share of goals that was reached.

    Raises:
        ValueError: for an unknown level or task, or where pymunk is missing.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012
    render_mode = "rgb_array"
    fps = FPS

    def __init__(self, config: TabletopConfig) -> None:
        check_tasks(config.tasks, config.level)
        require_pymunk()
        self.config = config
        self.level = config.level
        self.task = ""
        self.instruction = ""
        self.max_timesteps = BONUS_STEPS
        self.prompt_pictures: Pictures = {}
        self.spec_of_trajectories = TrajectorySpec(
            states={END_EFFECTOR: 2},
            actions=ACTIONS,
            images=FRAMES if config.frames else {},
            fps=FPS,
            objects=OBJECTS,
        )
        low, high = np.array(ACTIONS.low, dtype=np.float32), np.array(ACTIONS.high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.observation_space = gymnasium.spaces.Dict(_spaces(config.frames))  # pyright: ignore[reportAttributeAccessIssue]
        self._elapsed = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode; equal seeds, tasks and levels give equal episodes, bit for bit.

        Raises:
            ValueError: for an unknown option, level or task.
        """
        super(Environment, self).reset(seed=seed)
        options = options or {}
        if unknown := sorted(set(options) - {"task", "level"}):
            raise ValueError(f"the tabletop knows the reset options 'task' and 'level', got {unknown}")
        self.level = str(options.get("level", self.config.level))
        chosen = (str(options["task"]),) if "task" in options else self.config.tasks
        check_tasks(chosen, self.level)
        tasks = chosen or TASKS_OF_LEVELS[self.level]
        self.task = tasks[int(self.np_random.integers(len(tasks)))]
        entropy = [int(self.np_random.integers(2**31)), zlib.crc32(f"{self.level} {self.task}".encode())]
        self._begin(np.random.default_rng(entropy))
        return self.observe(), self._info("going on")

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Pick and place, or sweep, once.

        Raises:
            ValueError: if the action is not six finite numbers inside the workspace.
        """
        start, end, turn = _checked(action)
        if self.problem.tool == "spatula":
            goals = self.problem.goals
            self.scene.push(start, end, goals.watch if isinstance(goals, Sweeping) else None)
        else:
            self.scene.pick_and_place(start, end, turn)
        self._elapsed += 1
        info = self._info(self.problem.goals.check(self.scene.things))
        over = info["is_success"] or info["is_failure"]
        truncated = self._elapsed >= self.max_timesteps and not over
        return self.observe(), float(info["is_success"]), over, truncated, info

    def observe(self) -> EnvironmentObservation:
        """Return what is seen now."""
        seen: EnvironmentObservation = {END_EFFECTOR: np.zeros(2, dtype=np.float32)}
        seen[END_EFFECTOR][int(self.problem.tool == "spatula")] = 1.0
        for view in VIEWS:
            frame, segmentation = draw(self.scene.things, view)
            objects = object_views(frame, segmentation, self._rows, MAX_OBJECTS)
            seen |= {f"observation.objects.{view}.{name}": values for name, values in objects.items()}
            if self.config.frames:
                seen[f"observation.images.{view}"] = halved(frame)
        return seen

    def expert_action(self) -> np.ndarray:
        """Return what the oracle does now; where it knows nothing to do, the neutral action."""
        action = next_action(self.scene, self.problem.goals)
        return self.no_op_action() if action is None else action

    def no_op_action(self) -> np.ndarray:
        """Return an action in a corner of the workspace, where nothing lies: it moves nothing."""
        return np.array([X_RANGE[0], Y_RANGE[0], 0.0, X_RANGE[0], Y_RANGE[0], 0.0], dtype=np.float32)

    def frame(self) -> np.ndarray:
        """Render both views, the front below the top: uint8, 256 x 256 x 3."""
        return np.concatenate([draw(self.scene.things, view)[0] for view in VIEWS])

    def render(self) -> np.ndarray:
        """Render as `frame` does."""
        return self.frame()

    def _begin(self, random: np.random.Generator) -> None:
        content = content_of(self.level, self.task)
        for _ in range(_ATTEMPTS):
            try:
                problem = TASKS[self.task](Layout(random=random, content=content))
            except NoRoom:
                continue
            scene = Scene(problem.things)
            scene.settle()
            steps = steps_needed(scene, problem.goals)
            if steps is not None:
                break
        else:
            raise ValueError(f"no room for an episode of {self.task} in {_ATTEMPTS} attempts: take another seed")
        self.problem, self.scene = problem, scene
        self.max_timesteps = steps + BONUS_STEPS
        self.instruction = problem.instruction
        self._rows = [int(row) for row in random.permutation(len(problem.things))]
        self.prompt_pictures = {name: _shown(picture, random) for name, picture in problem.pictures.items()}
        self._elapsed = 0

    def _info(self, verdict: str) -> dict[str, Any]:
        scores = {"goals": self.problem.goals.share()}
        return {"is_success": verdict == "success", "is_failure": verdict == "failure", "scores": scores}


def _shown(picture: Picture, random: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """Return what a placeholder shows, by view; scenes in an order of their own."""
    order = [int(row) for row in random.permutation(len(picture.things))]
    shown: dict[str, dict[str, np.ndarray]] = {}
    for view in VIEWS:
        frame, segmentation = draw(picture.things, view, **({} if picture.scene else {"ground": WHITE}))
        shown[view] = object_views(frame, segmentation, order, len(order))
    return shown


def _checked(action: np.ndarray) -> tuple[tuple[float, float], tuple[float, float], float]:
    values = np.asarray(action, dtype=np.float64)
    form = "six finite numbers, x, y and angle of two poses"
    if values.shape != (6,) or not np.isfinite(values).all():
        raise ValueError(f"an action of the tabletop is {form}, got {action!r}")
    for name, value, low, high in zip(ACTIONS.names, values, ACTIONS.low, ACTIONS.high, strict=True):
        if not low - 1e-6 <= value <= high + 1e-6:
            raise ValueError(f"{name} = {value:.3f} lies outside the workspace: expected {low:.3f} to {high:.3f}")
    x0, y0, angle0, x1, y1, angle1 = values.tolist()
    return (x0, y0), (x1, y1), angle1 - angle0


def _spaces(frames: bool) -> dict[str, Any]:
    box: Any = gymnasium.spaces.Box
    spaces = {END_EFFECTOR: box(0.0, 1.0, (2,), np.float32)}
    for view in VIEWS:
        name = f"observation.objects.{view}"
        spaces[f"{name}.crops"] = box(0, 255, (MAX_OBJECTS, CROP, CROP, 3), np.uint8)
        spaces[f"{name}.boxes"] = box(0.0, float(WIDTH), (MAX_OBJECTS, 4), np.float32)
        spaces[f"{name}.valid"] = box(0, 1, (MAX_OBJECTS,), np.bool_)
    if frames:
        spaces |= {name: box(0, 255, (*size, 3), np.uint8) for name, size in FRAMES.items()}
    return spaces
