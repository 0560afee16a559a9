"""ManiSkill's own scenes, rules and starts, with our robot, controller and cameras."""

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.foreign_packages import quiet
from astra.environments.maniskill.drawing.cameras import with_cameras
from astra.environments.maniskill.package import maniskill
from astra.environments.maniskill.simulator import Simulator
from astra.environments.maniskill.task import WOOD

FOLDER = "mani_skill.envs.tasks.tabletop"
"""Where ManiSkill keeps its tasks on a table."""


@dataclass(frozen=True, kw_only=True)
class OwnTask:
    """One of ManiSkill's tasks: bring a target to a goal."""

    module: str
    """Module in ManiSkill's folder of tasks."""
    scene: str
    """Class of the scene."""
    target: str
    """Attribute of the scene with the object that is grasped."""
    goal: str
    """Attribute with the marker, object or container to which it is brought."""
    instruction: str
    """Instruction in our words; ManiSkill has none."""
    rise: float
    """Height in meters of the target's middle above the goal's when it is there."""
    is_round: bool
    """Whether the target may be grasped in any direction."""
    releases: bool
    """Whether the target must be let go."""


TASKS = {
    "pick-cube": OwnTask(
        module="pick_cube",
        scene="PickCubeEnv",
        target="cube",
        goal="goal_site",
        instruction="pick red cube and hold at green marker",
        rise=0.0,
        is_round=False,
        releases=False,
    ),
    "stack-cube": OwnTask(
        module="stack_cube",
        scene="StackCubeEnv",
        target="cubeA",
        goal="cubeB",
        instruction="pick red cube and stack on green cube",
        rise=0.04,
        is_round=False,
        releases=True,
    ),
    "place-sphere": OwnTask(
        module="place_sphere",
        scene="PlaceSphereEnv",
        target="obj",
        goal="bin",
        instruction="pick blue ball and place into bin",
        rise=0.0225,
        is_round=True,
        releases=True,
    ),
}
"""The tasks by our name. Source: PickCube-v1, StackCube-v1 and PlaceSphere-v1 of ManiSkill."""


@functools.cache
def scene_class(name: str) -> Any:
    """Return the class of a task's scene; its constructor takes the sides in pixels of the cameras.

    Raises:
        ValueError: if ManiSkill is missing or cannot run.
    """
    sapien, task = maniskill()["sapien"], TASKS[name]
    with quiet():
        base = getattr(importlib.import_module(f"{FOLDER}.{task.module}"), task.scene)

    class Shown(with_cameras(base)):
        """The scene, whose goal is shown to policies: ManiSkill hides its marker from their cameras.

        Our shader draws no textures, and the table would be as white as the bin; it gets the color of wood.
        """

        def _load_scene(self, options: dict[str, Any]) -> None:
            super()._load_scene(options)
            self._hidden_objects.clear()
            for entity in self.table_scene.table._objs:
                for shape in entity.find_component_by_type(sapien.render.RenderBodyComponent).render_shapes:
                    for part in shape.parts:
                        part.material.set_base_color([*WOOD, 1.0])
            self.objects, self.container = [getattr(self, task.target)], getattr(self, task.goal)

    return Shown


class OwnScene(Simulator):
    """One of ManiSkill's scenes; its target is the only object, its goal the container.

    Raises:
        ValueError: if ManiSkill is missing or cannot run.
    """

    def __init__(self, name: str, sides: dict[str, int]) -> None:  # pyright: ignore[reportMissingSuperCall]
        """Build the scene.

        Args:
            name: Name of the task.
            sides: Sides in pixels of the cameras `base`, `hand` and `video`.
        """
        build = scene_class(name)
        self.own = TASKS[name]
        """The task."""
        with quiet(errors=True):
            self._task: Any = build(sides)

    def begin(self, seed: int) -> None:
        """Build the scene anew. Equal seeds give bitwise equal episodes."""
        with quiet(errors=True):  # it tells at each reset that some objects have no first place
            self._task.reset(seed=seed)
        self._begin()

    @property
    def done(self) -> bool:
        """Whether ManiSkill calls the present state a success."""
        return bool(self._task.evaluate()["success"][0])

    @property
    def goal(self) -> Float[np.ndarray, "3"]:
        """Place of the target's middle when it is at its goal."""
        return self.container.point + np.array([0.0, 0.0, self.own.rise])
