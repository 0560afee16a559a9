"""Meshes with fewer triangles, for drawing: on a CPU a small picture takes as long as it has corners of triangles."""

import numpy as np
from jaxtyping import Float, Int

CELL = 0.01
"""Side in meters of the cells in which vertices are merged; about a pixel of a policy's camera."""


def merge_vertices(
    vertices: Float[np.ndarray, "V 3"], triangles: Int[np.ndarray, "F 3"], cell: float = CELL
) -> tuple[Int[np.ndarray, "K 3"], Int[np.ndarray, " K"]]:
    """Merge the vertices in each cell of a grid, and drop triangles that collapse or lie twice at the same place.

    Args:
        vertices: Positions.
        triangles: Numbers of the three vertices of each triangle.
        cell: Side of the cells, in the unit of the positions.

    Returns:
        The remaining triangles, in which the vertex nearest to the mean of a cell stands for all of the cell; and
        their numbers among the given triangles.
    """
    cells, of = np.unique(np.floor(vertices / cell), axis=0, return_inverse=True)
    of = of.reshape(-1)
    sums = np.stack([np.bincount(of, axis, len(cells)) for axis in vertices.T], axis=1)
    means = sums / np.bincount(of, minlength=len(cells))[:, None]
    order = np.lexsort((((vertices - means[of]) ** 2).sum(axis=1), of))
    nearest = order[np.unique(of[order], return_index=True)[1]]
    merged = nearest[of[triangles]]
    proper = np.flatnonzero((merged != np.roll(merged, 1, axis=1)).all(axis=1))
    once = np.unique(np.sort(merged[proper], axis=1), axis=0, return_index=True)[1]
    kept = proper[np.sort(once)]
    return merged[kept], kept
