"""The 34 tasks, and their preconditions and effects in the protocol's symbolic world. Needs no simulator.

A state of this world says where each block is and how the fixtures stand, such as {"led": 0, "slider": "right",
"red_block": "table", "grasped": 0}. Chains of tasks are valid if each precondition holds after the effects before it.
Source: calvin, evaluation/multistep_sequences.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import Any

from astra.environments.calvin.scene import BLOCKS

World = Mapping[str, Any]
"""State of the symbolic world."""
SIDES = ("slider_right", "slider_left")
"""Places of a block in the cabinet."""


@dataclass(frozen=True)
class Change:
    """One way in which a task changes the symbolic world."""

    before: World
    """Precondition; of several values in a tuple, one must hold."""
    after: World
    """Effect."""

    def possible(self, world: World) -> bool:
        """Whether the precondition holds."""
        return all(
            world[name] in value if isinstance(value, tuple) else world[name] == value
            for name, value in self.before.items()
        )


@dataclass(frozen=True)
class Task:
    """A task of the benchmark."""

    name: str
    kind: str
    """Category; the five tasks of a chain are of five categories."""
    changes: tuple[Change, ...]
    """Ways in which it changes the world."""

    def results(self, world: World) -> list[World]:
        """Return the worlds in which it may end; empty: it is not possible."""
        return [{**world, **change.after} for change in self.changes if change.possible(world)]


def _tasks() -> dict[str, Task]:
    found: list[Task] = []

    def add(name: str, kind: str, *changes: tuple[World, World]) -> None:
        free: World = {} if any("grasped" in before for before, _ in changes) else {"grasped": 0}
        found.append(Task(name, kind, tuple(Change({**before, **free}, after) for before, after in changes)))

    blocks = {color: f"{color}_block" for color in BLOCKS}
    for verb in ("rotate", "push"):
        for color, side in product(BLOCKS, ("right", "left")):
            add(f"{verb}_{color}_block_{side}", "rotate or push", ({blocks[color]: "table"}, {blocks[color]: "table"}))
    add("move_slider_left", "slider", ({"slider": "right"}, {"slider": "left"}))
    add("move_slider_right", "slider", ({"slider": "left"}, {"slider": "right"}))
    add("open_drawer", "drawer", ({"drawer": "closed"}, {"drawer": "open"}))
    add("close_drawer", "drawer", ({"drawer": "open"}, {"drawer": "closed"}))
    for color in BLOCKS:
        block, up = blocks[color], {blocks[color]: "grasped", "grasped": 1}
        add(f"lift_{color}_block_table", "lift from table", ({block: "table"}, up))
        opened = [({block: f"slider_{a}", "slider": b}, up) for a, b in (("left", "right"), ("right", "left"))]
        add(f"lift_{color}_block_slider", "lift from slider", *opened)
        add(f"lift_{color}_block_drawer", "lift from drawer", ({block: "drawer", "drawer": "open"}, up))
    holding = {block: {block: "grasped", "grasped": 1} for block in blocks.values()}
    stored = [
        ({**holding[block], "slider": side}, {block: f"slider_{side}", "grasped": 0})
        for block, side in product(holding, ("right", "left"))
    ]
    add("place_in_slider", "place", *stored)
    put_away = [({**holding[block], "drawer": "open"}, {block: "drawer", "grasped": 0}) for block in holding]
    add("place_in_drawer", "place", *put_away)
    pairs = list(permutations(blocks.values(), 2))
    stacks = {(top, low): {top: "stacked_top", low: "stacked_bottom"} for top, low in pairs}
    add("stack_block", "stack", *(({**holding[t], b: "table"}, {**stacks[t, b], "grasped": 0}) for t, b in pairs))
    add("unstack_block", "unstack", *((stacks[t, b], {t: "table", b: "table"}) for t, b in pairs))
    for light, (turn, before) in product(("lightbulb", "led"), (("on", 0), ("off", 1))):
        add(f"turn_{turn}_{light}", "light", ({light: before}, {light: 1 - before}))
    pushed = []
    for block in blocks.values():
        others = dict.fromkeys((other for other in blocks.values() if other != block), SIDES)
        pushed.append(({block: "table", **others, "drawer": "open"}, {block: "drawer", "grasped": 0}))
    add("push_into_drawer", "push into drawer", *pushed)
    return {task.name: task for task in found}


OBJECTS = {*BLOCKS, "slider", "drawer", "lightbulb", "led"}
"""Objects that the names of tasks have."""
TASKS = _tasks()
"""Every task by name, in the reference's order, on which its random numbers depend."""


def other_task(name: str) -> str:
    """Return the task whose instruction the control `swapped` tells: of another category, with other objects.

    It is the first one from half the list away on.
    """
    names, words = list(TASKS), set(name.split("_")) & OBJECTS
    half = names.index(name) + len(names) // 2
    others = (names[(half + n) % len(names)] for n in range(len(names)))
    return next(
        other for other in others if TASKS[other].kind != TASKS[name].kind and not words & set(other.split("_"))
    )


@cache
def initial_worlds() -> tuple[World, ...]:
    """Return the 192 worlds in which chains begin: one or two blocks on the table, at most one on each shelf side."""
    values = {
        "led": (0, 1),
        "lightbulb": (0, 1),
        "slider": ("right", "left"),
        "drawer": ("closed", "open"),
        **{f"{color}_block": ("table", *SIDES) for color in BLOCKS},
        "grasped": (0,),
    }
    worlds = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
    places = [[world[f"{color}_block"] for color in BLOCKS] for world in worlds]
    counts = [[where.count(place) for place in ("table", *SIDES)] for where in places]
    kept = zip(worlds, counts, strict=True)
    return tuple(world for world, (table, *sides) in kept if table in (1, 2) and max(sides) < 2)


def chain_is_valid(world: World, names: tuple[str, ...]) -> bool:
    """Whether tasks can be done one after the other, each in exactly one way, and are of different categories."""
    kinds = {TASKS[name].kind for name in names}
    for name in names:
        results = TASKS[name].results(world)
        if len(results) != 1:
            return False
        world = results[0]
    return len(kinds) == len(names)
