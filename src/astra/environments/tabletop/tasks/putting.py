"""Tasks that put objects into a container, chosen by pictures, names, a scene, shape or texture.

These are visual_manipulation, scene_understanding, novel_noun, same_shape and same_texture. Distractors share the shape
or the texture of the target, so that only both together identify it. All objects have the same role on the table, so
that nothing but the prompt reveals the target.

Source: the tasks of VIMA-Bench (Jiang et al., 2022); numbers of distractors are ours.
"""

from astra.environments.tabletop.goals import Goal, PlacementGoals
from astra.environments.tabletop.layout import EpisodeSetup, Layout, Picture
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.table_object import TableObject

NOUNS = ("dax", "blicket", "wug", "zup")
"""Invented words, as in VIMA-Bench."""
SAME_TOLERANCE = 0.125
"""Meters. Source: VIMA-Bench's same_texture and same_shape."""
BOWL_TOLERANCE = 0.0875
"""Meters, for bowls in these two tasks."""


def visual_manipulation(layout: Layout) -> EpisodeSetup:
    """Set up an episode: put one object into one container, among similar objects and containers."""
    target, container, distractors = _one_of_many(layout)
    return EpisodeSetup(
        instruction="Put the {dragged_obj} into the {base_obj}.",
        pictures={"dragged_obj": layout.picture(target), "base_obj": layout.picture(container)},
        objects=layout.objects,
        goals=_into(layout, [target], container, distractors),
    )


def novel_noun(layout: Layout) -> EpisodeSetup:
    """Set up visual_manipulation with names for object and container that the prompt defines."""
    target, container, distractors = _one_of_many(layout)
    noun, place = layout.choose_several(NOUNS, 2)
    meanings = [f"This is a {noun} {{dragged_obj}}.", f"This is a {place} {{base_obj}}."]
    if layout.coin_flip():
        meanings.reverse()
    return EpisodeSetup(
        instruction=" ".join([*meanings, f"Put a {noun} into a {place}."]),
        pictures={"dragged_obj": layout.picture(target), "base_obj": layout.picture(container)},
        objects=layout.objects,
        goals=_into(layout, [target], container, distractors),
    )


def scene_understanding(layout: Layout) -> EpisodeSetup:
    """Set up an episode: put an object, shown in a scene and named by texture, into a container named by texture."""
    content = layout.content
    shape, other_shape = layout.choose_several(content.objects, 2)
    texture, other_texture = layout.choose_several(content.object_textures, 2)
    container_shape = layout.choose(content.containers)
    place = layout.choose(content.container_textures, excluding=[texture])
    other_place = layout.choose(content.container_textures, excluding=[place, texture])
    container, twin = layout.add_all([(container_shape, place), (container_shape, other_place)])
    target, *others = layout.add_two_by_two([shape, other_shape], [texture, other_texture])
    scene = Layout(random=layout.random, content=content)
    scene.add(shape, texture)
    scene.add(other_shape, other_texture)
    return EpisodeSetup(
        instruction=f"Put the {texture} object in {{scene}} into the {place} object.",
        pictures={"scene": Picture(objects=tuple(scene.objects), scene=True)},
        objects=layout.objects,
        goals=_into(layout, [target], container, [twin, *others]),
    )


def same_shape(layout: Layout) -> EpisodeSetup:
    """Set up an episode: put all objects with the profile of one of two containers, round or square, into it."""
    content = layout.content
    container_shape = layout.choose(content.containers)
    profile = SHAPES[container_shape].profile
    other_profile = "circle" if profile == "square" else "square"
    other_shape = layout.choose([name for name in content.containers if SHAPES[name].profile == other_profile])
    looks = layout.choose_several(content.container_textures, 2)
    container, other = layout.add_all([(container_shape, looks[0]), (other_shape, looks[1])])
    textures = layout.choose_several(content.object_textures, 2)
    like, unlike = (
        [name for name in content.objects if SHAPES[name].profile == one] for one in (profile, other_profile)
    )
    first, second, third, fourth = layout.add_all(
        [(layout.choose(kind), texture) for kind in (like, unlike) for texture in textures]
    )
    return _all_into(layout, "profile", [first, second], container, [other, third, fourth])


def same_texture(layout: Layout) -> EpisodeSetup:
    """Set up an episode: put all objects with the texture of one of two containers into it."""
    content = layout.content
    textures, shapes = layout.choose_several(content.object_textures, 2), layout.choose_several(content.objects, 2)
    container, other = layout.add_all([(layout.choose(content.containers), texture) for texture in textures])
    first, third, second, fourth = layout.add_two_by_two(shapes, textures)
    return _all_into(layout, "texture", [first, second], container, [other, third, fourth])


def _all_into(layout: Layout, what: str, targets: list[int], container: int, distractors: list[int]) -> EpisodeSetup:
    bowl = layout.objects[container].shape.name == "bowl"
    goals = _into(layout, targets, container, distractors)
    goals.tolerance = BOWL_TOLERANCE if bowl else SAME_TOLERANCE
    return EpisodeSetup(
        instruction=f"Put all objects with the same {what} as {{base_obj}} into it.",
        pictures={"base_obj": layout.picture(container)},
        objects=layout.objects,
        goals=goals,
    )


def _one_of_many(layout: Layout) -> tuple[int, int, list[int]]:
    """Add an object with three that share its shape or texture, and a container with one that shares either."""
    content = layout.content
    container_shape, texture = layout.choose(content.containers), layout.choose(content.container_textures)
    if layout.coin_flip():
        other = container_shape, layout.choose(content.container_textures, excluding=[texture])
    else:
        other = layout.choose(content.containers, excluding=[container_shape]), texture
    container, twin = layout.add_all([(container_shape, texture), other])
    target, *others = layout.add_two_by_two(
        layout.choose_several(content.objects, 2), layout.choose_several(content.object_textures, 2)
    )
    return target, container, [twin, *others]


def _into(layout: Layout, targets: list[int], container: int, distractors: list[int]) -> PlacementGoals:
    place: TableObject = layout.objects[container]
    return PlacementGoals(
        stages=[[Goal(index=target, x=place.x, y=place.y) for target in targets]], distractors=distractors
    )
