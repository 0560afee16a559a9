"""The oracle against the reference's own code, on random pairs of moments, most of which no simulator reaches."""

import importlib
from typing import Any

import numpy as np
import pytest

from astra.environments.calvin.clones import find_clones
from astra.environments.calvin.environment import Calvin, CalvinOptions
from astra.environments.calvin.oracle import make_oracle
from astra.environments.calvin.scene import Block, Snapshot
from astra.environments.calvin.tasks import TASKS
from tests.environments.calvin.test_environment import reason_to_skip
from tests.environments.calvin.test_oracle import BODIES, LINKS, ROBOT, TABLE

PLACES = [*((TABLE, link) for link in LINKS.values()), (ROBOT, 9), (ROBOT, 10)]
PAIRS = 4_000

pytestmark = [pytest.mark.simulator, pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())]


def random_moment(random: np.random.Generator) -> Snapshot:
    """Return a moment in which blocks touch anything and lie anywhere, on either side of every threshold."""
    blocks = {}
    for color, body in BODIES.items():
        others = [(other, -1) for other in BODIES.values() if other != body]
        number = random.choice(4, p=[0.1, 0.6, 0.2, 0.1])
        touched = random.permutation([*PLACES, *others])[:number]
        half = np.radians(random.uniform(-180, 180)) / 2
        tilt = 0.3 * random.normal(size=2) * (random.random() < 0.3)
        blocks[color] = Block(
            position=random.choice([0.0, 0.06, 0.12, -0.12], size=3, p=[0.7, 0.1, 0.1, 0.1]) + 0.46,
            quaternion=np.array([*tilt, np.sin(half), np.cos(half)]),
            velocity=random.choice([0.0, 0.5, -1.5], size=6, p=[0.8, 0.15, 0.05]),
            body=body,
            contacts=frozenset((int(body), int(link)) for body, link in touched),
        )
    touches = random.permutation([*BODIES.values(), TABLE])[: random.choice(3, p=[0.4, 0.5, 0.1])]
    return Snapshot(
        slider=float(random.choice([0.0, 0.2])),
        drawer=float(random.choice([0.0, 0.2])),
        lightbulb=bool(random.random() < 0.5),
        led=bool(random.random() < 0.5),
        blocks=blocks,
        robot_touches=frozenset(int(body) for body in touches),
        robot=ROBOT,
        table=TABLE,
        links=LINKS,
    )


def as_reference(moment: Snapshot) -> dict[str, Any]:
    """Return a moment as calvin_env tells it; of a contact, its checks read the third and the fifth number."""
    movable = {
        f"block_{color}": {
            "uid": block.body,
            "current_pos": block.position,
            "current_orn": block.quaternion,
            "current_lin_vel": block.velocity[:3],
            "current_ang_vel": block.velocity[3:],
            "contacts": [(0, block.body, body, -1, link) for body, link in block.contacts],
        }
        for color, block in moment.blocks.items()
    }
    return {
        "robot_info": {"uid": ROBOT, "contacts": [(0, ROBOT, body, 9, -1) for body in moment.robot_touches]},
        "scene_info": {
            "fixed_objects": {"table": {"uid": TABLE, "links": LINKS}},
            "movable_objects": movable,
            "doors": {
                "base__slide": {"current_state": moment.slider},
                "base__drawer": {"current_state": moment.drawer},
            },
            "lights": {
                "lightbulb": {"logical_state": int(moment.lightbulb)},
                "led": {"logical_state": int(moment.led)},
            },
        },
    }


def test_the_oracle_agrees_with_the_reference_on_moments_of_any_kind() -> None:
    Calvin(CalvinOptions()).close()  # makes calvin_env importable
    definitions = find_clones().yaml(tasks=True)["tasks"]
    ours, reference = make_oracle(definitions), importlib.import_module("calvin_env.envs.tasks").Tasks(definitions)
    random, seen = np.random.default_rng(0), set[str]()
    for pair in range(PAIRS):
        start, now = random_moment(random), random_moment(random)
        done = {name for name, check in ours.items() if check(start, now)}
        assert done == reference.get_task_info(as_reference(start), as_reference(now)), pair
        seen |= done
    assert seen == set(TASKS)
