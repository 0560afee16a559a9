"""Tasks that need memory: manipulate_old_neighbor, pick_in_order_then_restore.

Source: the tasks of VIMA-Bench (Jiang et al., 2022), its grids, directions and tolerances.
Deviation: the rows of manipulate_old_neighbor are 0.16 m apart instead of 0.125 m, because our outlines would touch.
"""

from astra.environments.tabletop.goals import Goal, PlacementGoals
from astra.environments.tabletop.layout import EpisodeSetup, Layout

DIRECTIONS = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}
"""Steps in rows and columns of the grid, as seen from above; north points up, away from the viewer."""
ROWS, COLUMNS = (0.34, 0.5, 0.66), (-0.25, 0.0)
"""x of the rows and y of the columns of the grid of neighbors, in meters."""
RESTORE_TOLERANCE = 0.05
"""Meters. Source: VIMA-Bench."""
_PLACE = (0.5, 0.25)


def manipulate_old_neighbor(layout: Layout) -> EpisodeSetup:
    """Set up an episode: put an object into a container, then the object that was next to it."""
    content = layout.content
    cells = [(row, column) for row in range(3) for column in range(2)]
    row, column = cells[int(layout.random.integers(len(cells)))]
    sides = {
        name: (row + down, column + right)
        for name, (down, right) in DIRECTIONS.items()
        if (row + down, column + right) in cells
    }
    direction = layout.choose(list(sides))
    others = [cell for cell in cells if cell not in ((row, column), sides[direction])]
    empty = others[int(layout.random.integers(len(others)))]
    shapes, textures = layout.choose_several(content.objects, 3), layout.choose_several(content.object_textures, 2)
    looks = [(shape, texture) for shape in shapes for texture in textures]
    order = layout.random.permutation(len(looks))
    found: dict[tuple[int, int], int] = {}
    for cell, look in zip(cells, order, strict=True):
        if cell != empty:
            shape, texture = looks[look]
            found[cell] = layout.add(shape, texture, at=(ROWS[cell[0]], COLUMNS[cell[1]]), angle=0.0)
    container = layout.add(
        layout.choose(content.containers), layout.choose(content.container_textures), at=_PLACE, angle=0.0
    )
    first, second = found[row, column], found[sides[direction]]
    return EpisodeSetup(
        instruction=(
            "First put {dragged_obj} into {base_obj} then put the object that was at its "
            f"{direction} before into the same {{base_obj}}."
        ),
        pictures={"dragged_obj": layout.picture(first), "base_obj": layout.picture(container)},
        objects=layout.objects,
        goals=PlacementGoals(
            stages=[[Goal(index=index, x=_PLACE[0], y=_PLACE[1])] for index in (first, second)],
            distractors=[index for index in found.values() if index not in (first, second)],
            order="no skipping",
        ),
    )


def pick_in_order_then_restore(layout: Layout) -> EpisodeSetup:
    """Set up an episode: move an object through two of six containers, and back into its own."""
    content = layout.content
    spots = [(x, y) for x in (0.375, 0.625) for y in (-0.25, 0.0, 0.25)]
    order = [spots[i] for i in layout.random.permutation(len(spots))]
    shape, textures = layout.choose(content.containers), layout.choose_several(content.container_textures, len(spots))
    containers = [layout.add(shape, texture, at=spot, angle=0.0) for texture, spot in zip(textures, order, strict=True)]
    kind, looks = layout.choose(content.objects), layout.choose_several(content.object_textures, 2)
    target = layout.add(kind, looks[0], at=order[0], angle=0.0)
    other = layout.add(kind, looks[1], at=order[3], angle=0.0)
    return EpisodeSetup(
        instruction=(
            "Put {dragged_obj} into {base_obj_1} then {base_obj_2}. Finally restore it into its original container."
        ),
        pictures={
            "dragged_obj": layout.picture(target),
            "base_obj_1": layout.picture(containers[1]),
            "base_obj_2": layout.picture(containers[2]),
        },
        objects=layout.objects,
        goals=PlacementGoals(
            stages=[[Goal(index=target, x=x, y=y)] for x, y in (order[1], order[2], order[0])],
            tolerance=RESTORE_TOLERANCE,
            distractors=[other],
            order="no skipping",
            returns_to_start=True,
        ),
    )
