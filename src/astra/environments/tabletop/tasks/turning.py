"""Tasks that turn things where they are: rotate, twist.

Source: the tasks of VIMA-Bench (Jiang et al., 2022): clockwise, by 30 to 150 degrees in steps of 30.
"""

import math

from astra.environments.tabletop.goals import Goal, Placements
from astra.environments.tabletop.layout import Layout, Picture, Problem
from astra.environments.tabletop.scene import Thing
from astra.environments.tabletop.shapes import SHAPES

DEGREES = (30, 60, 90, 120, 150)
"""Angles, clockwise."""
TWIST_TOLERANCE = 0.05
"""Meters. Source: VIMA-Bench."""
_EXAMPLES = 3


def rotate(layout: Layout) -> Problem:
    """One object by an angle in words, among similar ones."""
    content = layout.content
    shapes = layout.several(content.asymmetric, 2)
    textures = layout.several(content.object_textures, 4)
    if shapes[0] == shapes[1]:  # only one such object is held out for L3
        target, *distractors = layout.add_all([(shapes[0], texture) for texture in textures])
    else:
        target, *distractors = layout.four(shapes, textures)
    degrees = int(layout.random.choice(DEGREES))
    return Problem(
        instruction=f"Rotate the {{dragged_obj}} {degrees} degrees.",
        pictures={"dragged_obj": layout.picture(target)},
        things=layout.things,
        goals=Placements(stages=[[_turned(layout, target, degrees)]], distractors=distractors),
    )


def twist(layout: Layout) -> Problem:
    """All objects of a texture by an angle that three pairs of pictures show."""
    content = layout.content
    texture, *others = layout.several(content.object_textures, 4)
    number = int(layout.random.integers(1, 3))
    shapes = layout.several(content.asymmetric, 2)
    looks = [*((shape, texture) for shape in shapes[:number]), *((shapes[0], others[i]) for i in range(3 - number))]
    indices = layout.add_all(looks)
    targets, distractors = indices[:number], indices[number:]
    degrees = int(layout.random.choice(DEGREES))
    pictures: dict[str, Picture] = {}
    for example in range(1, _EXAMPLES + 1):
        shape = SHAPES[layout.choose(content.asymmetric)]
        look = layout.choose(content.object_textures, but=[texture])
        x = float(layout.random.uniform(0.44, 0.56))
        y, angle = float(layout.random.uniform(-0.375, 0.375)), float(layout.random.uniform(-math.pi, math.pi))
        for name, turned in (("before", angle), ("after", angle - math.radians(degrees))):
            shown = Thing(shape=shape, texture=look, x=x, y=y, angle=turned)
            pictures[f"{name}_twist_{example}"] = Picture(things=(shown,), scene=True)
    examples = " ".join(f"From {{before_twist_{i}}} to {{after_twist_{i}}}." for i in range(1, _EXAMPLES + 1))
    return Problem(
        instruction=f"To twist is to rotate by one angle. {examples} Now twist all {texture} objects.",
        pictures=pictures,
        things=layout.things,
        goals=Placements(
            stages=[[_turned(layout, target, degrees) for target in targets]],
            tolerance=TWIST_TOLERANCE,
            distractors=distractors,
        ),
    )


def _turned(layout: Layout, index: int, degrees: int) -> Goal:
    thing = layout.things[index]
    return Goal(thing=index, x=thing.x, y=thing.y, angle=thing.angle - math.radians(degrees))
