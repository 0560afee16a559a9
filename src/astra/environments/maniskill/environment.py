"""The environment of ManiSkill: pick an object, place it into a container, from two cameras or from exact states."""

from typing import Any

import numpy as np

from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.maniskill.attempts import distance_to_box
from astra.environments.maniskill.layout import Layout, sample_layout
from astra.environments.maniskill.levels import TRAINING, combinations_of
from astra.environments.maniskill.objects import CONTAINERS
from astra.environments.maniskill.simulator import Simulator
from astra.environments.maniskill.starts import draw_start
from astra.environments.maniskill.world import ROBOT, ROBOT_SIZE, SCENE, ArmWorld, ManiSkillOptions

SIZES = {ROBOT: ROBOT_SIZE, SCENE: 2 * (9 + 3)}
"""Length of each state vector."""
STILL = 0.05
"""Largest speed in meters per second of a target that lies in its container."""


class ManiSkill(ArmWorld):
    """Pick the object that the instruction names, and place it into the container.

    `reset` takes the options `level` and `task`, the name of a combination of target and container. The task is done
    when the target is in the container and at rest, and nothing of the gripper touches it.

    Raises:
        ValueError: if ManiSkill is missing or has another version, or no Vulkan driver works.
    """

    def __init__(self, options: ManiSkillOptions) -> None:
        super().__init__(options, SIZES[SCENE], [each.instruction for each in combinations_of(TRAINING)])
        self.combination = combinations_of(TRAINING)[0]
        """Target and container of the episode."""
        self.layout: Layout = sample_layout(self.combination, (), np.random.default_rng(0))
        """Objects of the episode and their places at the start."""
        self.simulator = Simulator(self.layout, self.sides)
        self.task, self.instruction = self.combination.name, self.combination.instruction

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds and options give bitwise equal episodes, other tasks or levels other places.

        Raises:
            ValueError: for an unknown option, level or task.
        """
        super(Environment, self).reset(seed=seed)
        options = reset_options("ManiSkill", options, ("level", "task"))
        level = str(options.get("level", TRAINING))
        start = draw_start(level, str(options["task"]) if "task" in options else None, self.np_random)
        self.layout, self.entropy, self.combination = start.layout, start.entropy, start.layout.combination
        self.task, self.instruction = self.combination.name, self.combination.instruction
        self.simulator.reset(self.layout)
        return self._started()

    def at_target(self) -> bool:
        """Return whether the fingertips are within 8 cm of the target's middle, and no nearer to another object."""
        return super().at_target() and (gaps := self.gaps())[0] <= min(gaps)

    def gaps(self) -> list[float]:
        """Return the distance in meters of the fingertips to the box around each object, the target first."""
        poses, objects = self.simulator.objects, [each for each, _ in self.layout.objects]
        return [
            distance_to_box(pose.turn.T @ (self.simulator.tip.point - pose.point), each.half)
            for pose, each in zip(poses, objects, strict=True)
        ]

    def succeeded(self) -> bool:
        """Return whether the target lies in the container and nothing of the gripper touches it."""
        return self.is_inside() and not self.simulator.touched and self.simulator.speed < STILL

    def is_inside(self) -> bool:
        """Return whether the target is in the container, by its middle."""
        simulator, place = self.simulator, self.simulator.container
        container = CONTAINERS[self.combination.container]
        return container.holds(self.combination.target, place.turn.T @ (simulator.objects[0].point - place.point))

    def scene_vector(self) -> np.ndarray:
        """Return poses and sizes of target and container."""
        simulator, container = self.simulator, CONTAINERS[self.combination.container]
        target = simulator.in_base(simulator.objects[0])
        place = simulator.in_base(simulator.container)
        return np.concatenate([target, self.combination.target.half, place, [*container.inner, container.height]])
