"""Tasks, objects and textures of each generalization level.

Training shows 14 objects in warm textures and 4 containers in cold ones. L1 has new placements. L2 swaps the two sets
of textures. L3 has objects and containers that training never shows. L4 has tasks that training never shows.

Source: the partitions of VIMA-Bench (Jiang et al., 2022): 13 tasks in training, L1 and L2, 12 in L3, 4 in L4, and its
lists of objects, containers and textures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from astra.environments.tabletop.shapes import CONTAINERS
from astra.environments.tabletop.textures import COLD_TEXTURES, WARM_TEXTURES, has_dark_variant

TRAINING_TASKS = (
    "visual_manipulation",
    "scene_understanding",
    "rotate",
    "novel_adj",
    "novel_noun",
    "twist",
    "follow_order",
    "rearrange",
    "manipulate_old_neighbor",
    "pick_in_order_then_restore",
    "rearrange_then_restore",
    "same_shape",
    "sweep_without_exceeding",
)
"""Tasks of training."""
HELD_OUT_TASKS = ("novel_adj_and_noun", "follow_motion", "same_texture", "sweep_without_touching")
"""Tasks of L4."""
TASKS_OF_LEVELS: dict[str, tuple[str, ...]] = {
    "train": TRAINING_TASKS,
    "L1": TRAINING_TASKS,
    "L2": TRAINING_TASKS,
    "L3": tuple(task for task in TRAINING_TASKS if task != "sweep_without_exceeding"),
    "L4": HELD_OUT_TASKS,
}
"""Tasks of each level. "train" and L1 draw from the same distribution, with different episodes."""

SEEN_OBJECTS = (
    *(f"letter {letter}" for letter in "AEGMTV"),
    *("block", "cross", "triangle", "flower", "heart", "ring", "pentagon", "L-shaped block"),
)
NOVEL_OBJECTS = ("letter R", "diamond", "hexagon", "round", "star")
SEEN_CONTAINERS, NOVEL_CONTAINERS = ("bowl", "frame", "container", "square"), ("pallet", "pan")
_ASYMMETRIC = ("heart", "L-shaped block")


@dataclass(frozen=True, kw_only=True)
class Content:
    """Shapes and textures from which an episode is drawn."""

    objects: tuple[str, ...]
    """Shapes of movable objects."""
    containers: tuple[str, ...]
    """Shapes of containers."""
    object_textures: tuple[str, ...]
    container_textures: tuple[str, ...]

    @property
    def asymmetric_objects(self) -> tuple[str, ...]:
        """Objects without rotational symmetry."""
        return tuple(name for name in self.objects if name.startswith("letter") or name in _ASYMMETRIC)

    @property
    def shaded_textures(self) -> tuple[str, ...]:
        """Textures of objects that have a dark variant."""
        return tuple(name for name in self.object_textures if has_dark_variant(name))


def content_of(level: str, task: str) -> Content:
    """Return the shapes and textures of a task at a level.

    Raises:
        ValueError: if there is no such level or task, or the level does not have the task.
    """
    check_tasks([task], level)
    warm, cold = WARM_TEXTURES, COLD_TEXTURES
    if level == "L2":
        warm, cold = cold, warm
    if level in ("L3", "L4"):
        warm = cold = (*warm, *cold)
    objects = {"L3": NOVEL_OBJECTS, "L4": (*SEEN_OBJECTS, *NOVEL_OBJECTS)}.get(level, SEEN_OBJECTS)
    containers = {"L3": NOVEL_CONTAINERS, "L4": CONTAINERS}.get(level, SEEN_CONTAINERS)
    if task in ("same_shape", "novel_adj", "novel_adj_and_noun"):  # blocks have no flatter or taller variant
        objects = tuple(name for name in objects if name != "block")
    if task == "same_shape":
        objects = ("shorter block", *objects)
    if task == "pick_in_order_then_restore":  # six pans do not fit
        containers = tuple(name for name in containers if name != "pan")
    return Content(objects=objects, containers=containers, object_textures=warm, container_textures=cold)


def check_tasks(tasks: Sequence[str], level: str) -> None:
    """Check that a level has these tasks.

    Raises:
        ValueError: if there is no such level or task. The message lists those that exist.
    """
    if level not in TASKS_OF_LEVELS:
        raise ValueError(f"there is no level {level!r}; the levels are {', '.join(TASKS_OF_LEVELS)}")
    for task in tasks:
        if task not in TASKS_OF_LEVELS[level]:
            known = ", ".join(TASKS_OF_LEVELS[level])
            exists = task in TRAINING_TASKS + HELD_OUT_TASKS
            raise ValueError(
                f"{'level ' + level + ' has no task' if exists else 'there is no task'} {task!r}; "
                f"the tasks of {level} are {known}"
            )
