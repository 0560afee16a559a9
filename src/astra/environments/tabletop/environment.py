"""The tabletop environment: pick-and-place and sweeping with the tasks, levels and tolerances of VIMA-Bench.

It needs no download. Physics is two-dimensional and images are our own, so its numbers are never VIMA-Bench numbers.

Source: Jiang et al., "VIMA: General Robot Manipulation with Multimodal Prompts", 2022.
Deviation: poses are in SE(2), x, y and angle, instead of positions and quaternions. There is no arm. The step limit is
the expert's number of steps in this episode plus 2; VIMA-Bench adds 2 to a number per task that allows for mistakes.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.object_views import object_views
from astra.environments.tabletop.drawing import (
    HEIGHT,
    SMALL_HEIGHT,
    SMALL_WIDTH,
    VIEWS,
    WHITE,
    WIDTH,
    downsample,
    draw,
)
from astra.environments.tabletop.goals import SweepGoal
from astra.environments.tabletop.layout import EpisodeSetup, Layout, NoRoomError, Picture
from astra.environments.tabletop.levels import TASKS_OF_LEVELS, check_tasks, content_of
from astra.environments.tabletop.planning import next_action, placements_left, steps_needed
from astra.environments.tabletop.scene import Scene, require_pymunk
from astra.environments.tabletop.slips import slip
from astra.environments.tabletop.table_object import X_RANGE, Y_RANGE
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
from astra.storage.numbers import WholeShare, check_numbers
from astra.trajectory import ActionSpec, TrajectorySpec

TASKS: dict[str, Callable[[Layout], EpisodeSetup]] = {
    task.__name__: task
    for task in (
        *(visual_manipulation, scene_understanding, rotate, novel_adj, novel_noun, twist, follow_order, rearrange),
        *(manipulate_old_neighbor, pick_in_order_then_restore, rearrange_then_restore, same_shape),
        *(sweep_without_exceeding, novel_adj_and_noun, follow_motion, same_texture, sweep_without_touching),
    )
}
"""All tasks by name."""
ACTIONS = ActionSpec(
    names=("x0", "y0", "angle0", "x1", "y1", "angle1"),
    low=2 * (X_RANGE[0], Y_RANGE[0], -math.pi),
    high=2 * (X_RANGE[1], Y_RANGE[1], math.pi),
    periodic=2 * (False, False, True),
    bins=2 * (50, 100, 72),
)
"""Two poses, in meters and radians. Source: VIMA's bins for x and y; an angle has bins of 5 degrees."""
END_EFFECTOR = "observation.end_effector"
"""Column of the end effector: one-hot, suction or spatula."""
MAX_OBJECTS, MAX_PICTURED = 8, 9
"""Maximum numbers of objects in an observation and in a prompt."""
OBJECTS = ObjectSpec(views=dict.fromkeys(VIEWS, (HEIGHT, WIDTH)), max_objects=MAX_OBJECTS, max_pictured=MAX_PICTURED)
"""Views and limits of the object-centric observations."""
FRAMES = {f"observation.images.{view}": (SMALL_HEIGHT, SMALL_WIDTH) for view in VIEWS}
"""Height and width of the frames in observations, by column."""
FPS = 1.0
"""One decision per step."""
BONUS_STEPS = 2
"""Steps that an episode allows beyond the expert's. Source: VIMA-Bench."""
_MAX_ATTEMPTS = 500


@dataclass(frozen=True, kw_only=True)
class TabletopConfig:
    """Tasks, level and observations of the tabletop."""

    level: str = "L1"
    """Generalization level: train, L1, L2, L3 or L4."""
    tasks: tuple[str, ...] = ()
    """Tasks from which each episode is drawn; empty means all tasks of the level."""
    frames: bool = False
    """Whether observations include a frame of 64 x 128 pixels for each view, besides crops and boxes."""
    slips: WholeShare = 0.0
    """Share of the episodes in which suction slips once, at a random step (see `slips`)."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")

    def build(self) -> "Tabletop":
        """Build the environment."""
        return Tabletop(self)


class Tabletop(Environment):
    """Pick-and-place and sweeping with prompts that mix words and pictures.

    An action is (x, y, angle) of two poses. Suction picks the object at the first pose, places it at the second pose
    and turns it by the difference of the angles. The spatula sweeps from the first pose to the second. `reset` takes
    the options `task` and `level`. `info` holds `is_success`, `is_failure` (which also ends an episode) and `scores`.
    The score `goals` is the share of goals that were reached. After suction, `is_miss` tells whether the step brought
    no object to its place, and the episode goes on.

    Raises:
        ValueError: for an unknown level or task, or if pymunk is missing.
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
        """Start an episode. Equal seeds, tasks and levels give bitwise equal episodes.

        Raises:
            ValueError: for an unknown option, level or task.
        """
        super(Environment, self).reset(seed=seed)
        options = reset_options("the tabletop", options, ("task", "level"))
        self.level = str(options.get("level", self.config.level))
        chosen = (str(options["task"]),) if "task" in options else self.config.tasks
        check_tasks(chosen, self.level)
        tasks = chosen or TASKS_OF_LEVELS[self.level]
        self.task = tasks[int(self.np_random.integers(len(tasks)))]
        entropy = [int(self.np_random.integers(2**31)), zlib.crc32(f"{self.level} {self.task}".encode())]
        self._start_episode(np.random.default_rng(entropy))
        self._random = np.random.default_rng([*entropy, 1])  # of its own: slips leave the scene of a seed as it is
        slips = self._random.random() < self.config.slips
        self._slips_at = int(self._random.integers(self.max_timesteps - BONUS_STEPS)) if slips else -1
        return self.observe(), self._info("in progress")

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Pick and place, or sweep, once.

        Raises:
            ValueError: if the action is not six finite numbers inside the workspace.
        """
        start, end, turn = _parse_action(action)
        goals = self.setup.goals
        left = None if isinstance(goals, SweepGoal) else placements_left(self.scene, goals)
        if isinstance(goals, SweepGoal):
            self.scene.sweep(start, end, goals.watch)
        else:
            if self._elapsed == self._slips_at:
                start, end = slip(self.scene, goals, start, end, turn, self._random)
            self.scene.pick_and_place(start, end, turn)
        self._elapsed += 1
        verdict = goals.check(self.scene.objects)
        info = self._info(verdict)
        if left is not None and not isinstance(goals, SweepGoal):
            info["is_miss"] = verdict == "in progress" and placements_left(self.scene, goals) >= left
        over = info["is_success"] or info["is_failure"]
        truncated = self._elapsed >= self.max_timesteps and not over
        return self.observe(), float(info["is_success"]), over, truncated, info

    def observe(self) -> EnvironmentObservation:
        """Return the current observation."""
        seen: EnvironmentObservation = {END_EFFECTOR: np.zeros(2, dtype=np.float32)}
        seen[END_EFFECTOR][int(self.setup.tool == "spatula")] = 1.0
        for view in VIEWS:
            frame, segmentation = draw(self.scene.objects, view)
            objects = object_views(frame, segmentation, self._object_order, MAX_OBJECTS)
            seen |= {f"observation.objects.{view}.{name}": values for name, values in objects.items()}
            if self.config.frames:
                seen[f"observation.images.{view}"] = downsample(frame)
        return seen

    def expert_action(self) -> np.ndarray:
        """Return the expert's next action; the no-op action if it has none."""
        action = next_action(self.scene, self.setup.goals)
        return self.no_op_action() if action is None else action

    def no_op_action(self) -> np.ndarray:
        """Return an action in an empty corner of the workspace, which moves nothing."""
        return np.array([X_RANGE[0], Y_RANGE[0], 0.0, X_RANGE[0], Y_RANGE[0], 0.0], dtype=np.float32)

    def frame(self) -> np.ndarray:
        """Render the top view above the front view: uint8, 256 x 256 x 3."""
        return np.concatenate([draw(self.scene.objects, view)[0] for view in VIEWS])

    def render(self) -> np.ndarray:
        """Render the same image as `frame`."""
        return self.frame()

    def _start_episode(self, random: np.random.Generator) -> None:
        content = content_of(self.level, self.task)
        for _ in range(_MAX_ATTEMPTS):
            try:
                setup = TASKS[self.task](Layout(random=random, content=content))
            except NoRoomError:
                continue
            scene = Scene(setup.objects)
            scene.settle()
            steps = steps_needed(scene, setup.goals)
            if steps is not None:
                break
        else:
            raise ValueError(f"found no layout for {self.task} in {_MAX_ATTEMPTS} attempts; use another seed")
        self.setup, self.scene = setup, scene
        self.max_timesteps = steps + BONUS_STEPS
        self.instruction = setup.instruction
        self._object_order = [int(row) for row in random.permutation(len(setup.objects))]
        self.prompt_pictures = {name: _render_picture(picture, random) for name, picture in setup.pictures.items()}
        self._elapsed = 0

    def _info(self, verdict: str) -> dict[str, Any]:
        scores = {"goals": self.setup.goals.progress()}
        return {"is_success": verdict == "success", "is_failure": verdict == "failure", "scores": scores}


def _render_picture(picture: Picture, random: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """Return the object views of a placeholder, with the objects of a scene in random order."""
    order = [int(row) for row in random.permutation(len(picture.objects))]
    shown: dict[str, dict[str, np.ndarray]] = {}
    for view in VIEWS:
        frame, segmentation = draw(picture.objects, view, **({} if picture.scene else {"background": WHITE}))
        shown[view] = object_views(frame, segmentation, order, len(order))
    return shown


def _parse_action(action: np.ndarray) -> tuple[tuple[float, float], tuple[float, float], float]:
    values = np.asarray(action, dtype=np.float64)
    if values.shape != (6,) or not np.isfinite(values).all():
        raise ValueError(f"a tabletop action is six finite numbers (x, y, angle of two poses), got {action!r}")
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
