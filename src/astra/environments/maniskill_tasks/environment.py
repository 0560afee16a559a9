"""The environment of ManiSkill's own tasks: bring a cube to a marker or onto another cube, or a ball into a bin."""

from typing import Any

import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.maniskill.starts import draw_entropy
from astra.environments.maniskill.world import ArmWorld, ManiSkillOptions
from astra.environments.maniskill_tasks.scenes import TASKS, OwnScene

SCENE_SIZE = 2 * 9
"""Length of the privileged state vector: the poses of target and goal."""
LARGEST_SEED = 2**31
"""Bound of the seeds of ManiSkill's scenes."""


class ManiSkillTasks(ArmWorld):
    """Bring the target to the goal that the scene shows; `reset` takes the option `task`.

    A task is done when ManiSkill says so: the cube is within 2.5 cm of the marker and the arm rests; the red cube lies
    on the green one, at rest, and is not held; the ball lies in the bin, at rest, and is not held.

    Raises:
        ValueError: if ManiSkill is missing or has another version, or no Vulkan driver works.
    """

    scene: OwnScene
    """Scene of the present episode, which is also `simulator`."""

    def __init__(self, options: ManiSkillOptions) -> None:
        super().__init__(options, SCENE_SIZE, [task.instruction for task in TASKS.values()])
        self._scenes: dict[str, OwnScene] = {}
        self._enter(next(iter(TASKS)))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds and options give bitwise equal episodes, other tasks other places.

        Raises:
            ValueError: for an unknown option or task.
        """
        super(Environment, self).reset(seed=seed)
        options = reset_options("ManiSkill", options, ("task",))
        drawn = tuple(TASKS)[int(self.np_random.integers(len(TASKS)))]
        name = str(options.get("task", drawn))
        if name not in TASKS:
            raise ValueError(f"there is no task {name!r}; there are {', '.join(TASKS)}")
        self._enter(name)
        self.entropy = draw_entropy(self.np_random, name)
        self.scene.begin(int(np.random.default_rng(self.entropy).integers(LARGEST_SEED)))
        return self._started()

    def succeeded(self) -> bool:
        """Return whether ManiSkill calls the present state a success."""
        return self.scene.done

    def scene_vector(self) -> np.ndarray:
        """Return the poses of target and goal."""
        simulator = self.simulator
        return np.concatenate([simulator.in_base(each) for each in (simulator.objects[0], simulator.container)])

    def close(self) -> None:
        """Release all scenes."""
        for scene in self._scenes.values():
            scene.close()

    def _enter(self, name: str) -> None:
        if name not in self._scenes:
            self._scenes[name] = OwnScene(name, self.sides)
        self.scene = self.simulator = self._scenes[name]
        self.task, self.instruction = name, TASKS[name].instruction
