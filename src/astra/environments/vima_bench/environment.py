"""The VIMA-Bench environment: the simulator, tasks, levels and oracle of the package, with object-centric observations.

The package is installed from its repository, see docs/vima-bench.md. Its definition of success is unchanged.

Source: Jiang et al. 2023, VIMA; https://github.com/vimalabs/VIMABench; section 4.3 of the paper.
Deviation: an arm motion may take 30 seconds of real time instead of 5, so that a busy machine changes no result.
"""

import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import gymnasium
import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.foreign_packages import quiet
from astra.environments.object_views import object_views
from astra.environments.poses import ACTIONS, ActionForm, check_action, normalize_quaternions, to_quaternions, to_se2
from astra.environments.vima_bench.package import temporary_files_in, vima_bench
from astra.objects import CROP, ObjectSpec, Pictures
from astra.storage.numbers import Tokens, check_numbers
from astra.trajectory import TrajectorySpec

Level = Literal["train", "L1", "L2", "L3", "L4"]
"""Level of generalization."""
PARTITIONS: dict[str, str] = {
    "train": "train",
    "L1": "placement_generalization",
    "L2": "combinatorial_generalization",
    "L3": "novel_object_generalization",
    "L4": "novel_task_generalization",
}
"""The package's name of each level."""
VIEWS = {"top": (128, 256), "front": (128, 256)}
"""Height and width of the views, in pixels."""
MAX_PICTURED = 16
"""Maximum number of objects pictured in one prompt. The most seen is 9, three scenes of three."""
RETRIES = 10
"""Number of seeds that are tried for a layout."""
RETRY_STRIDE = 1_000_000
"""Difference between seeds that are tried, so that none is the seed of another episode."""
BONUS_STEPS = 2
"""Steps that an episode allows beyond the oracle's."""
MOTION_SECONDS = 30.0
"""Maximum real time of an arm motion, in seconds."""


def tasks_of(level: str) -> dict[str, Any]:
    """Return the tasks of a level, each with the limits on its objects and textures, or None for no limits.

    Raises:
        ValueError: if there is no such level, or VIMA-Bench is not installed.
    """
    if level not in get_args(Level):
        raise ValueError(f"VIMA-Bench has no level {level!r}; it has {', '.join(get_args(Level))}")
    specs = vima_bench().PARTITION_TO_SPECS
    return dict(specs["train"] if level == "train" else specs["test"][PARTITIONS[level]])


@dataclass(frozen=True, kw_only=True)
class VimaBenchConfig:
    """One task of VIMA-Bench at one level."""

    task: str = "visual_manipulation"
    """Name of the task, such as rotate. Levels have different tasks."""
    level: Level = "train"
    """Level of generalization: train, L1 placement, L2 combination, L3 novel object, L4 novel task."""
    actions: ActionForm = "se2"
    """Representation of actions: six numbers in SE(2), or VIMA-Bench's twelve with quaternions."""
    max_objects: Tokens = 8
    """Maximum number of objects in an observation; no task was seen with more than 8."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")

    def build(self) -> "VimaBench":
        """Start the simulator.

        Raises:
            ValueError: if VIMA-Bench is not installed, or there is no such level or task.
        """
        return VimaBench(self)


class VimaBench(Environment):
    """VIMA-Bench with one decision per step: pick and place with suction, or sweep with a spatula.

    `reset` takes the options `task`, `level` and `expert`. A changed task or level restarts the simulator.
    `expert=True` is needed to follow `expert_action`, whose goals may include steps that an agent need not take. If a
    seed gives no layout, up to nine other seeds are tried; VIMA's own evaluation takes the next seed instead, which is
    that of its next episode. `info` holds `is_success` and `is_failure`. Either of them ends an episode. An episode is
    also cut after the oracle's number of steps plus 2.

    Raises:
        ValueError: if VIMA-Bench is not installed, there is no such level or task, or another environment is open in
            this process: the package allows one at a time.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012
    render_mode = "rgb_array"
    fps = 1.0
    _open = False

    def __init__(self, config: VimaBenchConfig) -> None:
        settings = _settings(config.task, config.level)
        if VimaBench._open:
            raise ValueError(
                "VIMA-Bench allows one environment per process: close() the open one, or use more processes "
                "(num_envs=1 and workers=N)"
            )
        self.config = config
        self.task, self.level = config.task, str(config.level)
        self.instruction = ""
        self.prompt_pictures: Pictures = {}
        # The package leaves a temporary file for most objects that it loads.
        self._scratch = tempfile.TemporaryDirectory(prefix="vima-bench-", ignore_cleanup_errors=True)
        self._inner: Any = None
        self._make(settings)
        VimaBench._open = True
        self._elapsed = 0
        self._with_expert = False
        self._oracle: Any = None
        self._seen: dict[str, Any] = {}
        actions = ACTIONS[config.actions]
        self.spec_of_trajectories = TrajectorySpec(
            states={"observation.end_effector": 2},
            actions=actions,
            fps=self.fps,
            objects=ObjectSpec(views=VIEWS, max_objects=config.max_objects, max_pictured=MAX_PICTURED),
        )
        low, high = np.array(actions.low, np.float32), np.array(actions.high, np.float32)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.observation_space = gymnasium.spaces.Dict(_spaces(config.max_objects))  # pyright: ignore[reportAttributeAccessIssue]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds give equal episodes.

        Raises:
            ValueError: for an unknown option, level or task, or if this seed and nine others give no layout.
        """
        super(Environment, self).reset(seed=seed)
        options = reset_options("VIMA-Bench", options, ("expert", "task", "level"))
        task, level = str(options.get("task", self.task)), str(options.get("level", self.level))
        if (task, level) != (self.task, self.level):
            settings = _settings(task, level)
            self._inner.close()
            self.task, self.level = task, level
            self._make(settings)
        first = int(self.np_random.integers(2**31)) if seed is None else seed
        failures: list[str] = []
        for attempt in range(RETRIES):
            try:
                return self.reset_once(first + attempt * RETRY_STRIDE, expert=bool(options.get("expert", False)))
            except NoLayoutError as error:
                failures.append(str(error))
        raise ValueError(
            f"VIMA-Bench found no layout for {self.task} with the seed {first} and {RETRIES - 1} others; use another "
            f"seed; the last attempt failed with {failures[-1]}"
        )

    def reset_once(self, seed: int, *, expert: bool = False) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start the episode of exactly this seed.

        Raises:
            NoLayoutError: if its objects find no place.
        """
        self._elapsed, self._with_expert = 0, expert
        self._inner.seed(seed)
        try:
            with quiet(), temporary_files_in(self._scratch.name):
                self._seen = self._inner.reset()
                self._oracle = self._inner.task.oracle(self._inner)
        except Exception as error:  # the package raises many types
            raise NoLayoutError(f"{type(error).__name__}: {error}") from error
        prompt, assets = self._inner.get_prompt_and_assets()
        self.instruction = prompt
        # The package numbers objects by role (goal, target, rest), so their order is randomized.
        chance = np.random.default_rng(seed)
        self._order: list[int] = chance.permutation(sorted(self._inner.meta_info["obj_id_to_info"])).tolist()
        self.prompt_pictures = {name: _pictured(asset, chance) for name, asset in assets.items()}
        return self._observe(), {"is_success": False, "is_failure": False, "scores": {}}

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Pick and place, or sweep, once.

        Raises:
            ValueError: if the action is not finite or lies outside the workspace.
        """
        numbers = check_action(action, self.config.actions)
        numbers = to_quaternions(numbers) if self.config.actions == "se2" else normalize_quaternions(numbers)
        pose0, pose1 = np.split(numbers.astype(np.float32), 2)
        command = {
            "pose0_position": pose0[:2],
            "pose0_rotation": pose0[2:],
            "pose1_position": pose1[:2],
            "pose1_rotation": pose1[2:],
        }
        with quiet():
            self._seen, _, done, info = self._inner.step(command, skip_oracle=not self._with_expert)
        self._elapsed += 1
        success = bool(info["success"])
        outcome = {"is_success": success, "is_failure": bool(info["failure"]), "scores": {}}
        return self._observe(), float(success), bool(done), self._elapsed >= self.max_timesteps, outcome

    def expert_action(self) -> np.ndarray | None:
        """Return the oracle's next action; None if it has none, which ends a demonstration."""
        with quiet():
            command = self._oracle.act(self._seen)
        if command is None:
            return None
        poses = [np.concatenate([command[f"pose{i}_position"], command[f"pose{i}_rotation"]]) for i in (0, 1)]
        spec, numbers = ACTIONS[self.config.actions], np.concatenate(poses)
        numbers = to_se2(numbers) if self.config.actions == "se2" else numbers
        return np.clip(numbers, spec.low, spec.high)

    def frame(self) -> np.ndarray:
        """Render both views, one above the other."""
        return np.concatenate([self._seen["rgb"][view].transpose(1, 2, 0) for view in VIEWS])

    def no_op_action(self) -> np.ndarray:
        """Return the action that picks and places at the same corner, where nothing lies."""
        low = np.array(ACTIONS["se2"].low)
        low[[2, 5]] = 0.0
        return low if self.config.actions == "se2" else to_quaternions(low)

    def close(self) -> None:
        """Stop the simulator; another environment can then be built."""
        if self._inner is not None:
            self._inner.close()
            self._inner = None
            self._scratch.cleanup()
            VimaBench._open = False

    def _make(self, settings: Any) -> None:
        """Start the simulator for the current task."""
        with quiet(), temporary_files_in(self._scratch.name):
            self._inner = vima_bench().make(self.task, task_kwargs=settings, modalities=["rgb", "segm"], seed=0)
        self._inner.movej = partial(self._inner.movej, timeout=MOTION_SECONDS)
        self.expert_steps: int = self._inner.task.oracle_max_steps
        self.max_timesteps = self.expert_steps + BONUS_STEPS

    def _observe(self) -> EnvironmentObservation:
        present = set(self._inner.meta_info["obj_id_to_info"])
        ids = [number for number in self._order if number in present] + sorted(present - set(self._order))
        observation = {"observation.end_effector": np.eye(2, dtype=np.float32)[int(self._seen["ee"])]}
        for view in VIEWS:
            frame = self._seen["rgb"][view].transpose(1, 2, 0)
            parts = object_views(frame, self._seen["segm"][view], ids, self.config.max_objects)
            observation |= {f"observation.objects.{view}.{part}": values for part, values in parts.items()}
        return observation


class NoLayoutError(ValueError):
    """Raised if the objects of a seed find no place."""


def _settings(task: str, level: str) -> Any:
    """Return the limits on a task's objects and textures at a level."""
    tasks = tasks_of(level)
    if task not in tasks:
        raise ValueError(f"VIMA-Bench's level {level} has no task {task!r}; it has {', '.join(tasks)}")
    return tasks[task]


def _pictured(asset: dict[str, Any], chance: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """Return the objects of one picture of the prompt, in each view, in random order."""
    shown = asset["segm"]["obj_info"]
    ids = chance.permutation(
        [int(entry["obj_id"]) for entry in (shown if isinstance(shown, list) else [shown])]
    ).tolist()
    return {
        view: object_views(asset["rgb"][view].transpose(1, 2, 0), asset["segm"][view], ids, len(ids)) for view in VIEWS
    }


def _spaces(max_objects: int) -> dict[str, gymnasium.Space[Any]]:
    box = gymnasium.spaces.Box
    spaces: dict[str, gymnasium.Space[Any]] = {"observation.end_effector": box(0.0, 1.0, (2,), np.float32)}
    for view, (_, width) in VIEWS.items():
        spaces[f"observation.objects.{view}.crops"] = box(0, 255, (max_objects, CROP, CROP, 3), np.uint8)
        spaces[f"observation.objects.{view}.boxes"] = box(0.0, float(width), (max_objects, 4), np.float32)
        spaces[f"observation.objects.{view}.valid"] = gymnasium.spaces.MultiBinary(max_objects)
    return spaces
