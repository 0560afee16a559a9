"""The expert at the fixtures: sliding door, drawer, switch and button, found by the boxes around their links."""

import numpy as np

from astra.environments.calvin.hand import CLOSED, Hand, Steps, outward, shifted

DOOR_DEPTH, DOOR_HEIGHT = 0.06, 0.095
"""Where the hand pushes the door's handle: behind the front of its box, and above its lower edge, in meters."""
BESIDE = 0.055
"""Distance of the hand from the middle of the handle, at its side."""
HOOK, HOOK_HEIGHT = 0.04, 0.08
"""Where the hand goes down behind the drawer's bar: behind the front of its box, and above its lower edge."""
LEAN = 0.5
"""Lean of the hand in radians with which it reaches over the switch."""
SLOPE = np.array([0.0, 0.5, 0.866])
"""Direction in which the switch moves up."""


def push_door(hand: Hand, by: float) -> Steps:
    """Push the sliding door at its handle; a positive distance in meters is to the left."""
    box = hand.simulator.box("slide_link")
    sign = 1.0 if by > 0 else -1.0
    start = np.array([box[:, 0].mean() + sign * BESIDE, box[0, 1] + DOOR_DEPTH, box[0, 2] + DOOR_HEIGHT])
    yield from hand.let_go()
    hand.gripper = CLOSED
    yield from hand.travel(start)
    yield from hand.to(start)
    yield from hand.to(shifted(start, x=-by), arrived=0.02)


def move_slider_left(hand: Hand) -> Steps:
    """Push the door to the left end."""
    yield from push_door(hand, 0.34 - hand.simulator.state.slider)


def move_slider_right(hand: Hand) -> Steps:
    """Push the door to the right end."""
    yield from push_door(hand, -0.06 - hand.simulator.state.slider)


def open_drawer(hand: Hand) -> Steps:
    """Hook the drawer's bar from above, and pull."""
    box = hand.simulator.box("drawer_link")
    start = np.array([box[:, 0].mean(), box[0, 1] + HOOK, box[0, 2] + HOOK_HEIGHT])
    yield from hand.let_go()
    hand.gripper = CLOSED
    yield from hand.travel(start)
    yield from hand.to(start)
    yield from hand.to(shifted(start, y=-(0.25 - hand.simulator.state.drawer)), arrived=0.02)


def close_drawer(hand: Hand) -> Steps:
    """Push the drawer's bar from the front."""
    box = hand.simulator.box("drawer_link")
    start = np.array([box[:, 0].mean(), box[0, 1] - 0.035, box[0, 2] + HOOK_HEIGHT])
    yield from hand.let_go()
    hand.gripper = CLOSED
    yield from hand.travel(start)
    yield from hand.to(start)
    yield from hand.to(shifted(start, y=0.05 + hand.simulator.state.drawer), arrived=0.02)


def turn_on_lightbulb(hand: Hand) -> Steps:
    """Push the switch up its slope from the front."""
    box = hand.simulator.box("switch_link")
    start = np.array([box[:, 0].mean(), box[0, 1] - 0.035, box[0, 2] + 0.02])
    yield from hand.let_go()
    hand.gripper = CLOSED
    yield from hand.travel(np.array([start[0], -0.12, start[2]]))
    yield from hand.to(start, arrived=0.015)
    yield from hand.to(shifted(start, y=0.09, z=0.06), lean=outward(start, 0.3), arrived=0.02)


def turn_off_lightbulb(hand: Hand) -> Steps:
    """Put the fingers through the switch's bow from above, and pull it down its slope."""
    box = hand.simulator.box("switch_link")
    start = np.array([box[:, 0].mean(), box[0, 1] + 0.05, box[1, 2] - 0.025])
    yield from hand.let_go()
    hand.gripper = CLOSED
    yield from hand.travel(start, lean=outward(start, LEAN))
    yield from hand.to(start, lean=outward(start, LEAN))
    yield from hand.to(start - 0.12 * SLOPE, lean=outward(start, LEAN / 2), arrived=0.02)


def press_button(hand: Hand) -> Steps:
    """Press the button, which toggles the LED."""
    box = hand.simulator.box("button_link")
    top = np.array([*box.mean(0)[:2], box[1, 2] + 0.04])
    yield from hand.let_go()
    hand.gripper = CLOSED
    yield from hand.travel(top)
    yield from hand.to(top)
    yield from hand.to(shifted(top, z=-0.06), arrived=0.005)
    yield from hand.to(top)
