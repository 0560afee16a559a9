"""Tasks that turn objects in place: rotate, twist.

Source: the tasks of VIMA-Bench (Jiang et al., 2022): clockwise, by 30 to 150 degrees in steps of 30.
"""

import math

from astra.environments.tabletop.goals import Goal, PlacementGoals
from astra.environments.tabletop.layout import EpisodeSetup, Layout, Picture
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.table_object import TableObject

DEGREES = (30, 60, 90, 120, 150)
"""Clockwise angles."""
TWIST_TOLERANCE = 0.05
"""Meters. Source: VIMA-Bench."""
_EXAMPLES = 3


def rotate(layout: Layout) -> EpisodeSetup:
    """Set up an episode: turn one of several similar objects by an angle given in words."""
    content = layout.content
    shapes = layout.choose_several(content.asymmetric_objects, 2)
    textures = layout.choose_several(content.object_textures, 4)
    if shapes[0] == shapes[1]:  # L3 has only one asymmetric object
        target, *distractors = layout.add_all([(shapes[0], texture) for texture in textures])
    else:
        target, *distractors = layout.add_two_by_two(shapes, textures)
    degrees = int(layout.random.choice(DEGREES))
    return EpisodeSetup(
        instruction=f"Rotate the {{dragged_obj}} {degrees} degrees.",
        pictures={"dragged_obj": layout.picture(target)},
        objects=layout.objects,
        goals=PlacementGoals(stages=[[_turned(layout, target, degrees)]], distractors=distractors),
    )


def twist(layout: Layout) -> EpisodeSetup:
    """Set up an episode: turn all objects of a texture by the angle that three pairs of pictures show."""
    content = layout.content
    texture, *others = layout.choose_several(content.object_textures, 4)
    number = int(layout.random.integers(1, 3))
    shapes = layout.choose_several(content.asymmetric_objects, 2)
    looks = [*((shape, texture) for shape in shapes[:number]), *((shapes[0], others[i]) for i in range(3 - number))]
    indices = layout.add_all(looks)
    targets, distractors = indices[:number], indices[number:]
    degrees = int(layout.random.choice(DEGREES))
    pictures: dict[str, Picture] = {}
    for example in range(1, _EXAMPLES + 1):
        shape = SHAPES[layout.choose(content.asymmetric_objects)]
        look = layout.choose(content.object_textures, excluding=[texture])
        x = float(layout.random.uniform(0.44, 0.56))
        y, angle = float(layout.random.uniform(-0.375, 0.375)), float(layout.random.uniform(-math.pi, math.pi))
        for name, turned in (("before", angle), ("after", angle - math.radians(degrees))):
            shown = TableObject(shape=shape, texture=look, x=x, y=y, angle=turned)
            pictures[f"{name}_twist_{example}"] = Picture(objects=(shown,), scene=True)
    examples = " ".join(f"From {{before_twist_{i}}} to {{after_twist_{i}}}." for i in range(1, _EXAMPLES + 1))
    return EpisodeSetup(
        instruction=f"To twist is to rotate by one angle. {examples} Now twist all {texture} objects.",
        pictures=pictures,
        objects=layout.objects,
        goals=PlacementGoals(
            stages=[[_turned(layout, target, degrees) for target in targets]],
            tolerance=TWIST_TOLERANCE,
            distractors=distractors,
        ),
    )


def _turned(layout: Layout, index: int, degrees: int) -> Goal:
    obj = layout.objects[index]
    return Goal(index=index, x=obj.x, y=obj.y, angle=obj.angle - math.radians(degrees))
