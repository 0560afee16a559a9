"""The oracle: whether a task was done between two moments, by thresholds that are read from the user's clone of calvin.

Each definition is a list such as [push_object, block_red, 0.1, 0]: the name of a check, and its arguments. Source:
calvin_env, envs/tasks.py, and calvin, conf/callbacks/rollout/tasks/new_playtable_tasks.yaml.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.calvin.scene import Block, Snapshot
from astra.environments.rotations import rotation_matrix

Check = Callable[[Snapshot, Snapshot], bool]
"""Compares the start of an instruction with the present moment."""
LEANING, TURNED_OVER, MOVED = 30.0, 180.0, 0.1
"""Largest lean in degrees, largest turn in degrees and largest way in meters in a rotation."""
FAST = 1.0
"""Largest velocity of a stacked block, in m/s and rad/s."""


def make_oracle(definitions: Mapping[str, Sequence[Any]]) -> dict[str, Check]:
    """Return the check of every task.

    Raises:
        ValueError: if a definition names an unknown check.
    """
    checks: dict[str, Check] = {}
    for task, (name, *arguments) in definitions.items():
        if name not in CHECKS:
            raise ValueError(f"the task {task} is defined by {name!r}; known are {', '.join(CHECKS)}")
        checks[task] = partial(CHECKS[name], *arguments)
    return checks


def rotated(block: str, degrees: float, start: Snapshot, now: Snapshot) -> bool:
    """Whether a block was turned about the vertical by more than some degrees, and still touches its surroundings."""
    before, after = _block(start, block), _block(now, block)
    if np.linalg.norm(after.position - before.position) > MOVED or not after.touches - {start.robot}:
        return False
    x, y, z = euler_degrees(_matrix(after.quaternion) @ _matrix(before.quaternion).T)
    enough = degrees < z < TURNED_OVER if degrees > 0 else degrees > z > -TURNED_OVER
    return bool(enough and abs(x) < LEANING and abs(y) < LEANING)


def pushed(block: str, x: float, y: float, start: Snapshot, now: Snapshot) -> bool:
    """Whether a block was moved along the table in one direction, and still touches what it touched."""
    before, after = _block(start, block), _block(now, block)
    under, still = ({contact for contact in one.contacts if contact[0] != start.robot} for one in (before, after))
    if not under or not under <= still:
        return False
    axis, distance = (0, x) if x else (1, y)
    moved = float(after.position[axis] - before.position[axis])
    return moved > distance if distance > 0 else moved < distance


def lifted(block: str, height: float, body: str, link: str, start: Snapshot, now: Snapshot) -> bool:
    """Whether a block was lifted from a link, and touches the robot only."""
    before, after = _block(start, block), _block(now, block)
    rose = float(after.position[2] - before.position[2]) > height
    alone = after.touches == frozenset({now.robot})
    return rose and alone and _link(start, body, link) in before.contacts


def placed(body: str, link: str, start: Snapshot, now: Snapshot) -> bool:
    """Whether the block that was held touches a link, and the robot has let it go."""
    if len(start.robot_touches) != 1:
        return False
    (body_held,) = start.robot_touches
    for color, block in start.blocks.items():
        if block.body == body_held:
            held, let_go = block.touches == frozenset({start.robot}), body_held not in now.robot_touches
            return held and let_go and _link(now, body, link) in now.blocks[color].contacts
    return False


def pushed_into(
    blocks: str | Sequence[str], body: str, link: str, to_body: str, to_link: str, start: Snapshot, now: Snapshot
) -> bool:
    """Whether one of the blocks, which touched one link and nothing else, touches another link.

    The robot may touch it at the end. The reference's comment forbids that, but its code looks for the robot among
    pairs of body and link, and never finds it.
    """
    for name in [blocks] if isinstance(blocks, str) else blocks:
        left = _block(start, name).contacts == frozenset({_link(start, body, link)})
        if left and _link(now, to_body, to_link) in _block(now, name).contacts:
            return True
    return False


def moved_joint(joint: str, distance: float, start: Snapshot, now: Snapshot) -> bool:
    """Whether the sliding door or the drawer was moved by more than a distance, in the direction of its sign."""
    part = {"base__slide": "slider", "base__drawer": "drawer"}[joint]
    moved = getattr(now, part) - getattr(start, part)
    return moved > distance if distance > 0 else moved < distance


def switched(light: str, before: int, after: int, start: Snapshot, now: Snapshot) -> bool:
    """Whether a light went from one state to the other."""
    return getattr(start, light) == bool(before) and getattr(now, light) == bool(after)


def stacked(start: Snapshot, now: Snapshot) -> bool:
    """Whether a block that touched no other one rests on blocks alone."""
    return any(
        not before.touches & _bodies(start) and _on_blocks(now.blocks[color], now)
        for color, before in start.blocks.items()
    )


def unstacked(start: Snapshot, now: Snapshot) -> bool:
    """Whether a block that rested on blocks alone touches none of them."""
    return any(
        _on_blocks(before, start) and not now.blocks[color].touches & _bodies(now)
        for color, before in start.blocks.items()
    )


CHECKS: dict[str, Callable[..., bool]] = {
    "rotate_object": rotated,
    "push_object": pushed,
    "lift_object": lifted,
    "place_object": placed,
    "push_object_into": pushed_into,
    "move_door_rel": moved_joint,
    "toggle_light": switched,
    "stack_objects": stacked,
    "unstack_objects": unstacked,
}
"""Checks by the names in the definitions."""


def euler_degrees(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Return the angles of turns about the fixed axes x, then y, then z, in degrees."""
    x = np.arctan2(matrix[2, 1], matrix[2, 2])
    y = np.arcsin(-np.clip(matrix[2, 0], -1.0, 1.0))
    z = np.arctan2(matrix[1, 0], matrix[0, 0])
    return np.degrees([x, y, z])


def _matrix(quaternion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "3 3"]:
    return rotation_matrix(quaternion / np.linalg.norm(quaternion))


def _block(moment: Snapshot, name: str) -> Block:
    return moment.blocks[name.removeprefix("block_")]


def _link(moment: Snapshot, body: str, link: str) -> tuple[int, int]:
    return getattr(moment, body), moment.links[link]


def _bodies(moment: Snapshot) -> set[int]:
    return {block.body for block in moment.blocks.values()}


def _on_blocks(block: Block, moment: Snapshot) -> bool:
    resting = np.all(np.abs(block.velocity) < FAST)
    return bool(block.touches and block.touches <= _bodies(moment) and resting)
