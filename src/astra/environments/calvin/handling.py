"""The expert and the blocks: grasp, lift, turn, push, place, stack."""

from collections.abc import Generator

import numpy as np
from jaxtyping import Float

from astra.environments.calvin.fixtures import push_door
from astra.environments.calvin.hand import (
    BASE,
    CABINET,
    CLOSED,
    FORWARD,
    HIGH,
    LOW,
    OPEN,
    OUT_OF_CABINET,
    UPRIGHT,
    Hand,
    Steps,
    lean_of,
    outward,
    pointing,
    shifted,
)
from astra.environments.calvin.scene import Block, long_axis_yaw, rotation_columns

WIDTH = 0.04
"""Width and height of every block in meters."""
GRASP_HEIGHT = 0.004
"""Height of the finger tips' middle above a block's middle in a grasp."""
WIDEST = 0.06
"""Longest block that the fingers can hold lengthwise."""
CLEAR = 0.125
"""Distance from a block's middle to the door at which the hand passes beside the door."""
DRAWER_HALF = 0.125
"""Distance in x from the drawer's middle within which a block that is pushed off the table falls into it."""
FALLEN, STEP = 0.03, 0.02
"""Height in meters that a block has lost when it has left the table, and way of the hand after which it looks again."""
IN_CABINET, CABINET_LEANS = 0.0, (0.3, 0.5, 0.1)
"""Where the cabinet's inside begins in y, and the leans there, of one attempt after the other, which keep the wrist off
the cabinet's upper edge."""
MOST_ASIDE, LEANING = 0.6, 0.1
"""Largest lean away from walls and door, and room in meters that a hand needs beside itself to lean off a wall."""
FAR, FAR_LEAN = 0.78, 0.5
"""Distance from the robot's base in meters from which on a hand that pushes leans outward, and its lean."""


def block_yaw(block: Block) -> float:
    """Return the direction of a block's long axis, in radians."""
    return float(long_axis_yaw(rotation_columns(block.quaternion)))


def grasp_yaw(hand: Hand, color: str, near: float = FORWARD) -> float:
    """Return the yaw of the hand at which the fingers hold a block and touch no other one, near a wanted yaw."""
    blocks = hand.simulator.snapshot().blocks
    yaw, quarter = block_yaw(blocks[color]), np.pi / 2
    yaw += quarter * round((near - yaw) / quarter)
    crosswise = {0.0: 0.0, quarter: 1.0, -quarter: 1.0} if hand.simulator.block_lengths[color] < WIDEST else {}
    if not crosswise:  # only the short sides fit between the fingers
        yaw = block_yaw(blocks[color])
        return yaw + np.pi * round((near - yaw) / np.pi)

    def cost(turn: float) -> float:
        fingers = 0.05 * np.array([np.sin(yaw + turn), -np.cos(yaw + turn)])
        others = [block.position[:2] for name, block in blocks.items() if name != color]
        ends = [blocks[color].position[:2] + side * fingers for side in (1, -1)]
        return crosswise[turn] + 10 * sum(np.linalg.norm(end - other) < 0.05 for end in ends for other in others)

    return yaw + min(crosswise, key=cost)


def held(hand: Hand) -> str:
    """Return the color of the block between the fingers; empty: there is none."""
    now = hand.simulator.snapshot()
    distances = {
        color: float(np.linalg.norm(block.position - hand.position))
        for color, block in now.blocks.items()
        if now.robot in block.touches
    }
    nearest = min(distances, key=lambda color: distances[color], default="")
    return nearest if distances and distances[nearest] < 0.05 and hand.gripper == CLOSED else ""


def grasp(hand: Hand, color: str, near: float = FORWARD) -> Steps:
    """Go to a block, along the fingers, and close them around it; first push the sliding door out of the way."""
    yield from hand.let_go()
    place = hand.simulator.snapshot().blocks[color].position
    lean = UPRIGHT
    if place[1] > IN_CABINET:
        yield from clear(hand, place)
        lean = (_aside(hand, place), CABINET_LEANS[hand.attempt % len(CABINET_LEANS)])
    hand.gripper = OPEN
    yaw, fingers = grasp_yaw(hand, color, near), pointing(lean)
    lean = lean_of(fingers, yaw)
    place = shifted(hand.simulator.snapshot().blocks[color].position, z=GRASP_HEIGHT)
    far = HIGH - place[2] if place[1] > IN_CABINET else 0.08
    yield from hand.travel(place - far * fingers, yaw=yaw, lean=lean)
    yield from hand.to(place - 0.04 * fingers, yaw=yaw, lean=lean, arrived=0.02)
    yield from hand.to(place, yaw=yaw, lean=lean, speed=0.7)
    yield from hand.close()


def clear(hand: Hand, place: Float[np.ndarray, "3"]) -> Steps:
    """Push the sliding door so far away from a place in the cabinet that the hand has room, or as far as it goes."""
    gap, at_left = _gap(hand, place)
    end = hand.simulator.door_left if not at_left else 0.0
    walls = hand.simulator.box("plank_link")[:, 0]
    needed = CLEAR + (LEANING if np.abs(walls - place[0]).min() < CLEAR else 0.0)
    if gap < needed and abs(end - hand.simulator.state.slider) > 0.01:
        yield from push_door(hand, (gap - needed - 0.01) if at_left else (needed + 0.01 - gap))
        yield from hand.let_go()


def _gap(hand: Hand, place: Float[np.ndarray, "3"]) -> tuple[float, bool]:
    """Return the distance from a place in the cabinet to the sliding door, and whether the place is at its left."""
    door = hand.simulator.box("slide_link")
    at_left = bool(place[0] < door[:, 0].mean())
    return float(door[0, 0] - place[0] if at_left else place[0] - door[1, 0]), at_left


def _aside(hand: Hand, place: Float[np.ndarray, "3"]) -> float:
    """Return the lean with which the hand keeps off the door and the walls at both sides of a place in the cabinet."""
    door, plank = (hand.simulator.box(f"{link}_link")[:, 0] for link in ("slide", "plank"))
    low, high = (plank[0], door[0]) if _gap(hand, place)[1] else (door[1], plank[1])
    at_left, at_right = (max(0.0, CLEAR - gap) / 0.1 for gap in (place[0] - low, high - place[0]))
    return float(np.clip(at_left - at_right, -MOST_ASIDE, MOST_ASIDE))


def lift(hand: Hand, color: str) -> Steps:
    """Lift a block."""
    yield from grasp(hand, color)
    here, yaw, lean = hand.simulator.target[0], hand.yaw, hand.lean
    over = np.array([here[0], min(here[1], OUT_OF_CABINET), max(LOW, here[2] + 0.1)])
    yield from hand.to(over, yaw=yaw, lean=lean)


def rotate(hand: Hand, color: str, by: float) -> Steps:
    """Turn a block on the table by an angle in radians; positive is counterclockwise, to the left."""
    yield from grasp(hand, color, FORWARD - by / 2)
    yield from hand.to(hand.simulator.target[0], yaw=hand.yaw + by, arrived=0.02)


def push(hand: Hand, color: str, by: float) -> Steps:
    """Push a block along the table; a positive distance in meters is to the right.

    The hand stops before that, and the block slides on: a block that the hand does not touch is where the next task
    may need it.
    """
    yield from hand.let_go()
    hand.gripper = CLOSED
    sign = 1.0 if by > 0 else -1.0
    place = hand.simulator.snapshot().blocks[color].position
    gap = 0.025 + _reach(hand, color, np.array([1.0, 0.0]))
    start, end = shifted(place, x=-sign * gap), shifted(place, x=by)
    lean = outward(end, FAR_LEAN) if np.linalg.norm(end[:2] - BASE) > FAR else UPRIGHT
    yield from hand.travel(shifted(start, z=0.08), lean=lean)
    yield from hand.to(start, lean=lean)
    yield from hand.to(end, lean=lean, arrived=0.02, speed=0.8)
    yield from hand.stay(4)


def push_into_drawer(hand: Hand) -> Steps:
    """Push a block over the table's edge, so that it falls into the drawer; the hand stays behind its middle."""
    now = hand.simulator.snapshot()
    on_table = {color: block for color, block in now.blocks.items() if (now.table, -1) in block.contacts}
    color = min(on_table or now.blocks, key=lambda name: now.blocks[name].position[1])
    middle = float(hand.simulator.box("drawer_link")[:, 0].mean())
    aside = now.blocks[color].position[0] - middle
    if abs(aside) > DRAWER_HALF:
        yield from push(hand, color, np.sign(aside) * (DRAWER_HALF - 0.02) - aside)
    yield from hand.let_go()
    hand.gripper = CLOSED
    place = hand.simulator.snapshot().blocks[color].position
    start = shifted(place, y=0.03 + _reach(hand, color, np.array([0.0, 1.0])))
    yield from hand.travel(shifted(start, z=0.08))
    yield from hand.to(start)
    edge = float(hand.simulator.box("base_link")[0, 1])
    for y in np.arange(start[1] - STEP, edge - 2 * STEP, -STEP):
        block = hand.simulator.snapshot().blocks[color].position
        if block[2] < place[2] - FALLEN or block[1] > hand.position[1]:
            break
        yield from hand.to(np.array([block[0], y, start[2]]), arrived=STEP, speed=0.6)
    here = hand.position
    yield from hand.to(np.array([here[0], here[1] + 0.06, start[2] + 0.02]), arrived=0.02)
    yield from hand.stay(8)


def place_in_slider(hand: Hand) -> Steps:
    """Put the held block into the open side of the cabinet."""
    color = yield from _take(hand)
    plank, door = hand.simulator.box("plank_link"), hand.simulator.box("slide_link")
    left, right = door[0, 0] - plank[0, 0], plank[1, 0] - door[1, 0]
    low, high = (plank[0, 0], door[0, 0]) if left > right else (door[1, 0], plank[1, 0])
    others = [block.position for name, block in hand.simulator.snapshot().blocks.items() if name != color]
    taken = [other[0] for other in others if other[1] > 0.03 and low < other[0] < high]
    choices = np.linspace(low + 0.055, high - 0.055, 7) if high - low > 0.11 else np.array([(low + high) / 2])
    middle = (low + high) / 2
    x = max(choices, key=lambda at: min([abs(at - other) for other in taken], default=0.0) - 0.1 * abs(at - middle))
    goal, lean = np.array([x, 0.08, plank[1, 2] + WIDTH / 2 + GRASP_HEIGHT + 0.008]), hand.lean
    yield from hand.travel(goal, lean=lean)
    yield from hand.to(goal, lean=lean)
    yield from hand.open()
    yield from hand.to(shifted(goal, z=0.15), lean=lean)


def place_in_drawer(hand: Hand) -> Steps:
    """Put the held block into the open drawer."""
    yield from _take(hand)
    drawer, table = hand.simulator.box("drawer_link"), hand.simulator.box("base_link")
    front = drawer[0, 1] + 0.09
    goal, lean = np.array([drawer[:, 0].mean(), (front + table[0, 1]) / 2, 0.38]), hand.lean
    yield from hand.travel(goal, lean=lean)
    yield from hand.to(goal, lean=lean)
    yield from hand.open()
    yield from hand.to(shifted(goal, z=0.15))


def stack(hand: Hand) -> Steps:
    """Put the held block onto another one."""
    color = yield from _take(hand)
    now = hand.simulator.snapshot()
    others = {name: block for name, block in now.blocks.items() if name != color}
    on_table = [name for name, block in others.items() if block.position[1] < CABINET and block.position[2] > 0.44]
    below = min(on_table or list(others), key=lambda name: float(np.linalg.norm(others[name].position - hand.position)))
    yaw = block_yaw(others[below])
    yaw = yaw + np.pi / 2 * round((FORWARD - yaw) / (np.pi / 2))
    offset = now.blocks[color].position - hand.position
    goal = shifted(others[below].position, z=WIDTH + 0.004) - offset
    lean = hand.lean
    yield from hand.travel(goal, yaw=yaw, lean=lean)
    yield from hand.to(shifted(goal, z=0.03), yaw=yaw, lean=lean)
    yield from hand.to(goal, yaw=yaw, lean=lean, speed=0.5)
    yield from hand.open()
    yield from hand.to(shifted(goal, z=0.1), yaw=yaw, lean=lean, speed=0.5)


def unstack(hand: Hand) -> Steps:
    """Drag the upper block off the lower one, so that it does not tumble."""
    now = hand.simulator.snapshot()
    bodies = {block.body for block in now.blocks.values()}
    upper = max(
        (name for name, block in now.blocks.items() if block.touches & bodies),
        key=lambda name: now.blocks[name].position[2],
        default="",
    )
    if not upper:
        yield from hand.stay(1)
        return
    yield from grasp(hand, upper)
    place = hand.simulator.target[0]
    away = 0.09 if place[0] < 0.15 else -0.09
    yield from hand.to(shifted(place, x=away, z=0.003), yaw=hand.yaw)


def _take(hand: Hand) -> Generator[Float[np.ndarray, "7"], None, str]:
    """Return the color of the held block; one that was lost is grasped again."""
    color = held(hand)
    if not color:
        now = hand.simulator.snapshot()
        color = min(now.blocks, key=lambda name: float(np.linalg.norm(now.blocks[name].position - hand.position)))
        yield from lift(hand, color)
    return color


def _reach(hand: Hand, color: str, direction: Float[np.ndarray, "2"]) -> float:
    """Return how far a block reaches from its middle in a direction, in meters."""
    yaw = block_yaw(hand.simulator.snapshot().blocks[color])
    along = abs(float(direction @ (np.cos(yaw), np.sin(yaw))))
    across = abs(float(direction @ (-np.sin(yaw), np.cos(yaw))))
    return hand.simulator.block_lengths[color] / 2 * along + WIDTH / 2 * across
