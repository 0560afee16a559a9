"""Tasks with an adjective that the prompt defines by examples: novel_adj, novel_adj_and_noun.

Source: the tasks of VIMA-Bench (Jiang et al., 2022): taller, shorter, darker or lighter, by three examples; heights are
scaled by a factor between 0.3 and 0.4, and by that factor plus 2.
"""

from astra.environments.tabletop.goals import Goal, PlacementGoals
from astra.environments.tabletop.layout import EpisodeSetup, Layout, Picture, single_object
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.tasks.putting import NOUNS

ADJECTIVES = ("daxer", "blicker", "modier", "kobar")
"""Invented words, as in VIMA-Bench."""
NEUTRAL = "plastic"
"""Texture of the target in the prompt, so that only the examples show which variant is meant."""
_EXAMPLES = 3


def novel_adj(layout: Layout) -> EpisodeSetup:
    """Set up an episode: of two objects, put the one that the adjective describes into a container."""
    return _setup(layout, with_nouns=False)


def novel_adj_and_noun(layout: Layout) -> EpisodeSetup:
    """Set up novel_adj with names for object and container that the prompt defines."""
    return _setup(layout, with_nouns=True)


def _setup(layout: Layout, *, with_nouns: bool) -> EpisodeSetup:
    content = layout.content
    about_height, more_is_first, less = layout.coin_flip(), layout.coin_flip(), layout.coin_flip()
    low = float(layout.random.uniform(0.3, 0.4))
    high = low + 2.0

    def variant(shape: str, texture: str, more: bool) -> tuple[str, float]:
        """Return texture and height of an object with more, or less, of the property."""
        first = more == more_is_first
        if about_height:
            return texture, SHAPES[shape].height * (high if first else low)
        return (f"dark {texture}" if first else texture), SHAPES[shape].height

    container_shape = layout.choose(content.containers)
    container = layout.add(container_shape, layout.choose(content.container_textures))
    shape, other_shape = layout.choose_several(content.objects, 2)
    texture = layout.choose(content.shaded_textures)
    four = layout.add_all(
        [(kind, *variant(kind, texture, more)) for kind in (shape, other_shape) for more in (not less, less)]
    )

    adjective = layout.choose(ADJECTIVES)
    pictures: dict[str, Picture] = {}
    for example in range(1, _EXAMPLES + 1):
        shown, worn = layout.choose(content.objects), layout.choose(content.shaded_textures)
        for name, more in (("more", True), ("less", False)):
            look, height = variant(shown, worn, more)
            pictures[f"{name}_{example}"] = single_object(shown, look, height=height)
    words = [f"{{more_{i}}} is {adjective} than {{less_{i}}}." for i in range(1, _EXAMPLES + 1)]
    pictures["dragged_obj"] = single_object(shape, NEUTRAL)
    pictures["base_obj"] = layout.picture(container)
    noun, place = "{dragged_obj}", "{base_obj}"
    if with_nouns:
        noun, place = layout.choose_several(NOUNS, 2)
        words = [f"This is a {noun} {{dragged_obj}}.", f"This is a {place} {{base_obj}}.", *words]
    words.append(f"Put the {'less ' if less else ''}{adjective} {noun} into the {place}.")
    spot = layout.objects[container]
    return EpisodeSetup(
        instruction=" ".join(words),
        pictures=pictures,
        objects=layout.objects,
        goals=PlacementGoals(stages=[[Goal(index=four[0], x=spot.x, y=spot.y)]], distractors=four[1:]),
    )
