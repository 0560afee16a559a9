"""The oracle on moments that are written by hand; test_environment.py compares it with the reference's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from astra.environments.calvin.oracle import Check, euler_degrees, make_oracle
from astra.environments.calvin.scene import Block, Snapshot, rotation_columns

ROBOT, TABLE, BODIES = 0, 5, {"red": 2, "blue": 3, "pink": 4}
LINKS = {"base_link": -1, "drawer_link": 3, "plank_link": 6}
ON_TABLE, IN_DRAWER, ON_PLANK, HELD = (TABLE, -1), (TABLE, 3), (TABLE, 6), (ROBOT, 9)


def block(color: str, *contacts: tuple[int, int], at: tuple[float, ...] = (0.0, 0.0, 0.46), yaw: float = 0.0) -> Block:
    half = np.radians(yaw) / 2
    return Block(
        position=np.array(at),
        quaternion=np.array([0.0, 0.0, np.sin(half), np.cos(half)]),
        velocity=np.zeros(6),
        body=BODIES[color],
        contacts=frozenset(contacts),
    )


def moment(*blocks: Block, robot_touches: tuple[int, ...] = (), **state: Any) -> Snapshot:
    """Return a moment with the given blocks; the others lie on the table."""
    given = {one.body: one for one in blocks}
    return Snapshot(
        **{"slider": 0.0, "drawer": 0.0, "lightbulb": False, "led": False, **state},
        blocks={color: given.get(body, block(color, ON_TABLE)) for color, body in BODIES.items()},
        robot_touches=frozenset(robot_touches),
        robot=ROBOT,
        table=TABLE,
        links=LINKS,
    )


def check(*definition: Any) -> Check:
    return make_oracle({"task": definition})["task"]


START = moment()


@pytest.mark.parametrize(("yaw", "right", "left"), [(-59, False, False), (-61, True, False), (61, False, True)])
def test_rotations_have_a_direction_and_a_threshold(yaw: float, right: bool, left: bool) -> None:
    now = moment(block("red", ON_TABLE, HELD, yaw=yaw))
    assert check("rotate_object", "block_red", -60)(START, now) == right
    assert check("rotate_object", "block_red", 60)(START, now) == left


def test_a_rotated_block_must_stay_and_touch_its_surroundings() -> None:
    rotate = check("rotate_object", "block_red", 60)
    assert not rotate(START, moment(block("red", HELD, yaw=80)))
    assert not rotate(START, moment(block("red", ON_TABLE, yaw=80, at=(0.11, 0.0, 0.46))))
    assert not rotate(START, moment(block("blue", ON_TABLE, yaw=80)))
    tipped = replace(block("red", ON_TABLE, yaw=80), quaternion=np.array([0.35, 0.0, 0.6, 0.72]))
    assert not rotate(START, moment(tipped))


def test_a_pushed_block_moves_in_its_direction_and_stays_on_what_it_touched() -> None:
    push = check("push_object", "block_red", -0.1, 0)
    assert push(START, moment(block("red", ON_TABLE, HELD, at=(-0.11, 0.0, 0.46))))
    assert not push(START, moment(block("red", ON_TABLE, at=(-0.09, 0.0, 0.46))))
    assert not push(START, moment(block("red", ON_TABLE, at=(0.11, 0.0, 0.46))))
    assert not push(START, moment(block("red", HELD, at=(-0.11, 0.0, 0.46))))
    assert check("push_object", "block_red", 0, 0.1)(START, moment(block("red", ON_TABLE, at=(0.0, 0.11, 0.46))))


def test_a_lifted_block_comes_from_its_link_and_touches_the_robot_only() -> None:
    lift = check("lift_object", "block_red", 0.05, "table", "drawer_link")
    start = moment(block("red", IN_DRAWER, at=(0.0, 0.0, 0.36)))
    assert lift(start, moment(block("red", HELD, at=(0.0, 0.0, 0.42))))
    assert not lift(start, moment(block("red", HELD, at=(0.0, 0.0, 0.40))))
    assert not lift(start, moment(block("red", HELD, IN_DRAWER, at=(0.0, 0.0, 0.42))))
    assert not lift(START, moment(block("red", HELD, at=(0.0, 0.0, 0.6))))


def test_a_placed_block_was_held_and_was_let_go() -> None:
    place = check("place_object", "table", "plank_link")
    start = moment(block("blue", HELD), robot_touches=(BODIES["blue"],))
    assert place(start, moment(block("blue", ON_PLANK)))
    assert not place(start, moment(block("blue", ON_PLANK), robot_touches=(BODIES["blue"],)))
    assert not place(start, moment(block("blue", ON_TABLE)))
    assert not place(moment(block("blue", HELD)), moment(block("blue", ON_PLANK)))
    both = moment(block("blue", HELD), robot_touches=(BODIES["blue"], TABLE))
    assert not place(both, moment(block("blue", ON_PLANK)))
    assert not place(moment(robot_touches=(TABLE,)), moment(block("blue", ON_PLANK)))


def test_a_block_that_touched_the_table_alone_is_pushed_into_the_drawer_whatever_the_robot_touches() -> None:
    push = check("push_object_into", ["block_red", "block_pink"], "table", "base_link", "table", "drawer_link")
    assert push(START, moment(block("pink", IN_DRAWER)))
    assert not push(START, moment(block("blue", IN_DRAWER)))
    assert push(START, moment(block("pink", IN_DRAWER, HELD)))
    assert not push(moment(block("pink", ON_TABLE, HELD)), moment(block("pink", IN_DRAWER)))
    assert not push(moment(block("pink", ON_TABLE, (2, -1))), moment(block("pink", IN_DRAWER)))


def test_doors_and_lights() -> None:
    assert check("move_door_rel", "base__slide", 0.15)(START, moment(slider=0.16))
    assert not check("move_door_rel", "base__slide", 0.15)(START, moment(slider=0.14))
    assert check("move_door_rel", "base__drawer", -0.12)(moment(drawer=0.2), moment(drawer=0.07))
    assert not check("move_door_rel", "base__drawer", -0.12)(START, moment(slider=0.2))
    turn_off = check("toggle_light", "led", 1, 0)
    assert turn_off(moment(led=True), START)
    assert not turn_off(START, START)
    assert not turn_off(moment(led=True, lightbulb=True), moment(led=True))


def test_a_stack_rests_and_unstacking_ends_it() -> None:
    upon = (BODIES["blue"], -1)
    stack, unstack = check("stack_objects"), check("unstack_objects")
    stacked = moment(block("red", upon), block("blue", ON_TABLE, (BODIES["red"], -1)))
    held = moment(block("red", HELD))
    assert stack(held, stacked)
    assert not stack(held, moment(block("red", upon, HELD)))
    assert not stack(stacked, stacked)
    assert not stack(held, moment(replace(block("red", upon), velocity=np.full(6, 2.0))))
    assert unstack(stacked, held)
    assert not unstack(held, START)
    assert not unstack(stacked, stacked)


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(ValueError, match="task is defined by 'fly'; known are rotate_object"):
        check("fly", "block_red")


def test_angles_are_turns_about_fixed_axes() -> None:
    x, z = np.radians(20), np.radians(100)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    np.testing.assert_allclose(euler_degrees(about_z @ about_x), [20, 0, 100], atol=1e-9)
    np.testing.assert_allclose(rotation_columns(block("red", yaw=100).quaternion), about_z[:, :2].T.ravel(), atol=1e-9)
