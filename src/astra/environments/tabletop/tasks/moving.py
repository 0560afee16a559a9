"""Tasks that move objects to places: rearrange, rearrange_then_restore, follow_order, follow_motion.

Every object starts at least 0.2 m from its goal, so that no goal is reached at the start.

Source: the tasks of VIMA-Bench (Jiang et al., 2022); rotation does not count in them.
Deviation: there are always at least three objects to choose from, and moved objects keep their rotation, so that
demonstrations show only what the prompt asks for.
"""

import math
from dataclasses import replace

from astra.environments.tabletop.goals import Goal, PlacementGoals
from astra.environments.tabletop.layout import EpisodeSetup, Layout, Picture
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.table_object import TableObject

APART = 0.2
"""Minimum distance in meters between a start and any goal: twice the tolerance."""
CONFLICTS = 0.5
"""Probability that a distractor stands at a goal. Source: VIMA-Bench."""
MOTION_RADIUS, MOTION_POINTS = 0.19, 5
"""Polygon along which a motion goes. Source: VIMA-Bench."""


def rearrange(layout: Layout) -> EpisodeSetup:
    """Set up an episode: move one to three objects to where a picture shows them."""
    return _rearrangement(layout, restore=False)


def rearrange_then_restore(layout: Layout) -> EpisodeSetup:
    """Set up rearrange, and then back to the start."""
    return _rearrangement(layout, restore=True)


def follow_order(layout: Layout) -> EpisodeSetup:
    """Set up an episode: two moves between three stacks, in the order that three pictures show."""
    content = layout.content
    shape, other_shape = layout.choose_several(content.objects, 2)
    textures = layout.choose_several(content.object_textures, 3)
    spots = [(0.5, -0.25), (0.5, 0.0), (0.5, 0.25)]
    for texture, spot in zip(textures, spots, strict=True):
        layout.add(shape, texture, at=spot, angle=0.0)
    stacks = [[0], [1], [2]]
    frames = [_stacked(layout, stacks, spots)]
    stages: list[list[Goal]] = []
    for _ in range(2):
        moves = [(a, b) for a in range(3) for b in range(3) if a != b and stacks[a]]
        source, target = moves[int(layout.random.integers(len(moves)))]
        moved = stacks[source].pop()
        stacks[target].append(moved)
        stages.append([Goal(index=moved, x=spots[target][0], y=spots[target][1])])
        frames.append(_stacked(layout, stacks, spots))
    layout.add(other_shape, layout.choose(textures))
    return EpisodeSetup(
        instruction="Stack objects in this order {frame_0} {frame_1} {frame_2}.",
        pictures={f"frame_{i}": frame for i, frame in enumerate(frames)},
        objects=layout.objects,
        goals=PlacementGoals(stages=stages, order="every step"),
    )


def follow_motion(layout: Layout) -> EpisodeSetup:
    """Set up an episode: two moves of one object along a pentagon, as three pictures show."""
    content = layout.content
    shape, texture = layout.choose(content.objects), layout.choose(content.object_textures)
    circle = [2 * math.pi * i / MOTION_POINTS for i in range(MOTION_POINTS)]
    points = [(0.5 + MOTION_RADIUS * math.cos(a), MOTION_RADIUS * math.sin(a)) for a in circle]
    path = [int(layout.random.integers(MOTION_POINTS))]
    for _ in range(2):
        path.append((path[-1] + (1 if layout.coin_flip() else -1)) % MOTION_POINTS)
    target = layout.add(shape, texture, at=points[path[0]], angle=0.0)
    other = layout.add(shape, layout.choose(content.object_textures, excluding=[texture]), at=(0.5, 0.0), angle=0.0)
    frames = [
        Picture(
            objects=(
                replace(layout.objects[target], x=points[place][0], y=points[place][1]),
                replace(layout.objects[other]),
            ),
            scene=True,
        )
        for place in path
    ]
    return EpisodeSetup(
        instruction="Follow this motion for {dragged_obj}: {frame_0} {frame_1} {frame_2}.",
        pictures={"dragged_obj": layout.picture(target), **{f"frame_{i}": frame for i, frame in enumerate(frames)}},
        objects=layout.objects,
        goals=PlacementGoals(
            stages=[[Goal(index=target, x=points[place][0], y=points[place][1])] for place in path[1:]],
            order="every step",
        ),
    )


def _stacked(layout: Layout, stacks: list[list[int]], spots: list[tuple[float, float]]) -> Picture:
    objects: list[TableObject] = []
    for stack, (x, y) in zip(stacks, spots, strict=True):
        z, below = 0.0, None
        for index in stack:
            obj = replace(layout.objects[index], x=x, y=y, z=z, support=below)
            z, below = z + obj.height, len(objects)
            objects.append(obj)
    return Picture(objects=tuple(objects), scene=True)


def _rearrangement(layout: Layout, *, restore: bool) -> EpisodeSetup:
    content = layout.content
    number = 1 + int(layout.random.choice(3, p=[0.4, 0.4, 0.2]))
    pair, colors = layout.choose_several(content.objects, 2), layout.choose_several(content.object_textures, 2)
    looks = [(shape, texture) for shape in pair for texture in colors]
    shapes, textures = zip(*(looks[i] for i in layout.random.permutation(4)[:3]), strict=True)
    angles = layout.random.uniform(-math.pi, math.pi, number)
    places: list[tuple[float, float]] = []
    shown: list[TableObject] = []
    for index in range(number):
        kind = SHAPES[shapes[index]]
        x, y = layout.free_place(kind.radius, apart=APART)
        layout.reserved.append((x, y, kind.radius))
        places.append((x, y))
        shown.append(TableObject(shape=kind, texture=textures[index], x=x, y=y, angle=float(angles[index])))
    blocked = int(layout.random.integers(number)) if number < 3 and layout.coin_flip(CONFLICTS) else None
    found = [0, 0, 0]
    for index in layout.random.permutation(3):  # in random order, so that places do not reveal the targets
        at = places[blocked] if blocked is not None and index == number else None
        at = at or layout.free_place(SHAPES[shapes[index]].radius, apart=APART)
        angle = float(angles[index]) if index < number else None
        found[index] = layout.add(shapes[index], textures[index], at=at, angle=angle)
    clear: list[Goal] = []
    if blocked is not None:
        x, y = layout.free_place(SHAPES[shapes[number]].radius, apart=APART)
        clear.append(Goal(index=found[number], x=x, y=y))
    goals = [Goal(index=found[index], x=x, y=y) for index, (x, y) in enumerate(places)]
    distractors = found[number:]
    stages = [goals]
    if restore:
        starts = [layout.objects[goal.index] for goal in goals]
        stages.append([Goal(index=goal.index, x=at.x, y=at.y) for goal, at in zip(goals, starts, strict=True)])
    words = "Rearrange objects to this setup {scene} and then restore." if restore else "Rearrange to this {scene}."
    return EpisodeSetup(
        instruction=words,
        pictures={"scene": Picture(objects=tuple(shown), scene=True)},
        objects=layout.objects,
        goals=PlacementGoals(stages=stages, distractors=distractors, to_clear=clear, check_distractors_at_end=True),
    )
