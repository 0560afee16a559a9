"""The 50 tasks of Meta-World: their instructions, their scenes, and the sets MT10 and MT50; needs no simulator.

The instructions are ours, because Meta-World has none. Tasks of one scene have the same objects; elsewhere the objects
give the task away.
"""

import difflib
from dataclasses import dataclass


@dataclass(frozen=True)
class MetaWorldTask:
    """One task of Meta-World."""

    name: str
    """Name in Meta-World, without the version."""
    instruction: str
    """Instruction for the policy. It names no position: the goal is observed."""
    scene: str
    """Scene, which several tasks may share."""


MT50 = (
    MetaWorldTask("assembly", "put the ring on the peg", "ring and peg"),
    MetaWorldTask("basketball", "throw the ball into the basket", "basketball"),
    MetaWorldTask("bin-picking", "move the cube to the other bin", "two bins"),
    MetaWorldTask("box-close", "put the lid on the box", "box with a lid"),
    MetaWorldTask("button-press-topdown", "press the button from above", "button seen from above"),
    MetaWorldTask("button-press-topdown-wall", "press the button from above, behind the wall", "button behind a wall"),
    MetaWorldTask("button-press", "press the button", "upright button"),
    MetaWorldTask("button-press-wall", "reach over the wall and press the button", "upright button and a wall"),
    MetaWorldTask("coffee-button", "press the button of the coffee machine", "coffee machine"),
    MetaWorldTask("coffee-pull", "pull the mug away from the coffee machine", "coffee machine"),
    MetaWorldTask("coffee-push", "push the mug under the coffee machine", "coffee machine"),
    MetaWorldTask("dial-turn", "turn the dial", "dial"),
    MetaWorldTask("disassemble", "take the ring off the peg", "ring and peg"),
    MetaWorldTask("door-close", "close the door", "door"),
    MetaWorldTask("door-lock", "lock the door", "door with a lock"),
    MetaWorldTask("door-open", "open the door", "door"),
    MetaWorldTask("door-unlock", "unlock the door", "door with a lock"),
    MetaWorldTask("hand-insert", "put the gripper into the hole", "table with a hole"),
    MetaWorldTask("drawer-close", "close the drawer", "drawer"),
    MetaWorldTask("drawer-open", "open the drawer", "drawer"),
    MetaWorldTask("faucet-open", "open the faucet", "faucet"),
    MetaWorldTask("faucet-close", "close the faucet", "faucet"),
    MetaWorldTask("hammer", "hammer the nail into the box", "hammer and nail"),
    MetaWorldTask("handle-press-side", "press the handle down from the side", "handle at the side"),
    MetaWorldTask("handle-press", "press the handle down", "handle"),
    MetaWorldTask("handle-pull-side", "pull the handle up from the side", "handle at the side"),
    MetaWorldTask("handle-pull", "pull the handle up", "handle"),
    MetaWorldTask("lever-pull", "pull the lever up", "lever"),
    MetaWorldTask("peg-insert-side", "insert the peg into the hole", "peg and hole"),
    MetaWorldTask("pick-place-wall", "lift the puck over the wall to the goal", "puck and wall"),
    MetaWorldTask("pick-out-of-hole", "lift the puck out of the hole", "puck in a hole"),
    MetaWorldTask("reach", "move the gripper to the goal", "puck"),
    MetaWorldTask("push-back", "pull the cube back to the goal", "cube"),
    MetaWorldTask("push", "push the puck to the goal", "puck"),
    MetaWorldTask("pick-place", "lift the puck to the goal", "puck"),
    MetaWorldTask("plate-slide", "slide the plate into the cabinet", "plate in front of a cabinet"),
    MetaWorldTask("plate-slide-side", "slide the plate sideways into the cabinet", "plate beside a cabinet"),
    MetaWorldTask("plate-slide-back", "slide the plate out of the cabinet", "plate in front of a cabinet"),
    MetaWorldTask("plate-slide-back-side", "slide the plate sideways out of the cabinet", "plate beside a cabinet"),
    MetaWorldTask("peg-unplug-side", "pull the peg out of the hole", "plugged peg"),
    MetaWorldTask("soccer", "push the ball into the goal", "soccer"),
    MetaWorldTask("stick-push", "push the box with the stick", "stick and box"),
    MetaWorldTask("stick-pull", "pull the box with the stick", "stick and box"),
    MetaWorldTask("push-wall", "push the puck around the wall to the goal", "puck and wall"),
    MetaWorldTask("reach-wall", "move the gripper over the wall to the goal", "puck and wall"),
    MetaWorldTask("shelf-place", "put the cube on the shelf", "shelf"),
    MetaWorldTask("sweep-into", "sweep the cube into the hole", "table with a hole"),
    MetaWorldTask("sweep", "sweep the cube off the table", "edge of the table"),
    MetaWorldTask("window-open", "open the window", "window"),
    MetaWorldTask("window-close", "close the window", "window"),
)
"""All tasks, in Meta-World's order."""
TASKS = {task.name: task for task in MT50}
"""All tasks by name."""
MT10 = (
    "reach",
    "push",
    "pick-place",
    "door-open",
    "drawer-open",
    "drawer-close",
    "button-press-topdown",
    "peg-insert-side",
    "window-open",
    "window-close",
)
"""Names of the ten tasks of MT10, in Meta-World's order."""
SETS = {"mt10": MT10, "mt50": tuple(TASKS)}
"""Names that stand for several tasks."""


def find_tasks(names: tuple[str, ...]) -> tuple[MetaWorldTask, ...]:
    """Return the tasks with these names, each once.

    Args:
        names: Names of tasks, with or without Meta-World's "-v3", or mt10 or mt50.

    Raises:
        ValueError: for an unknown name; the message names the nearest ones.
    """
    found = [task for name in names for task in SETS.get(name, (name.removesuffix("-v3"),))]
    for name in found:
        if name not in TASKS:
            near = difflib.get_close_matches(name, (*TASKS, *SETS), n=3)
            meant = f"did you mean {' or '.join(near)}?" if near else f"it has mt10, mt50, {', '.join(TASKS)}"
            raise ValueError(f"Meta-World has no task {name!r}; {meant}")
    return tuple(TASKS[name] for name in dict.fromkeys(found))


def other_instruction(task: MetaWorldTask, known: tuple[MetaWorldTask, ...]) -> str:
    """Return the instruction of another known task, for the control "swapped"; empty if there is none.

    It is that of the first other task in the same scene, or, if there is none, of the next task of all.
    """
    for other in known:
        if other.scene == task.scene and other is not task:
            return other.instruction
    following = known[(known.index(task) + 1) % len(known)]
    return "" if following is task else following.instruction
