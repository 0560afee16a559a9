"""Tasks with an adjective that the prompt defines by examples: novel_adj, novel_adj_and_noun.

Source: the tasks of VIMA-Bench (Jiang et al., 2022): taller, shorter, darker or lighter, by three examples; heights are
scaled by 0.3 to 0.4 and by 2 more.
"""

from astra.environments.tabletop.goals import Goal, Placements
from astra.environments.tabletop.layout import Layout, Picture, Problem, alone
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.tasks.putting import NOUNS

ADJECTIVES = ("daxer", "blicker", "modier", "kobar")
"""Words without a meaning, as in VIMA-Bench."""
NEUTRAL = "plastic"
"""The texture in which the prompt shows what the adjective is about, so that only the examples tell which one."""
_EXAMPLES = 3


def novel_adj(layout: Layout) -> Problem:
    """Of two objects that differ in one respect, the one that is more so, or less so."""
    return _problem(layout, with_nouns=False)


def novel_adj_and_noun(layout: Layout) -> Problem:
    """The same, the object and the container being called by words that the prompt defines."""
    return _problem(layout, with_nouns=True)


def _problem(layout: Layout, *, with_nouns: bool) -> Problem:
    content = layout.content
    about_height, more_is_first, less = layout.yes(), layout.yes(), layout.yes()
    low = float(layout.random.uniform(0.3, 0.4))
    high = low + 2.0

    def variant(shape: str, texture: str, more: bool) -> tuple[str, float]:
        """Return texture and height of the one that is more so, or less so."""
        first = more == more_is_first
        if about_height:
            return texture, SHAPES[shape].height * (high if first else low)
        return (f"dark {texture}" if first else texture), SHAPES[shape].height

    container_shape = layout.choose(content.containers)
    container = layout.add(container_shape, layout.choose(content.container_textures))
    shape, other_shape = layout.several(content.objects, 2)
    texture = layout.choose(content.shades)
    four = layout.add_all(
        [(kind, *variant(kind, texture, more)) for kind in (shape, other_shape) for more in (not less, less)]
    )

    adjective = layout.choose(ADJECTIVES)
    pictures: dict[str, Picture] = {}
    for example in range(1, _EXAMPLES + 1):
        shown, worn = layout.choose(content.objects), layout.choose(content.shades)
        for name, more in (("more", True), ("less", False)):
            look, height = variant(shown, worn, more)
            pictures[f"{name}_{example}"] = alone(shown, look, height=height)
    words = [f"{{more_{i}}} is {adjective} than {{less_{i}}}." for i in range(1, _EXAMPLES + 1)]
    pictures["dragged_obj"] = alone(shape, NEUTRAL)
    pictures["base_obj"] = layout.picture(container)
    noun, place = "{dragged_obj}", "{base_obj}"
    if with_nouns:
        noun, place = layout.several(NOUNS, 2)
        words = [f"This is a {noun} {{dragged_obj}}.", f"This is a {place} {{base_obj}}.", *words]
    words.append(f"Put the {'less ' if less else ''}{adjective} {noun} into the {place}.")
    spot = layout.things[container]
    return Problem(
        instruction=" ".join(words),
        pictures=pictures,
        things=layout.things,
        goals=Placements(stages=[[Goal(thing=four[0], x=spot.x, y=spot.y)]], distractors=four[1:]),
    )
