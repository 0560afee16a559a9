"""Merging the vertices of a mesh."""

import numpy as np

from astra.environments.coarse_mesh import merge_vertices


def sheet(side: int, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a square of the plane z = 0 in `side` x `side` squares of two triangles each."""
    ticks = np.linspace(0.0, length, side + 1)
    vertices = np.stack([*np.meshgrid(ticks, ticks, indexing="ij"), np.zeros((side + 1,) * 2)], axis=-1).reshape(-1, 3)
    corner = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).reshape(-1)
    right, up = corner + side + 1, corner + 1
    triangles = np.concatenate([np.stack([corner, right, up], 1), np.stack([right, right + 1, up], 1)])
    return vertices, triangles


def area(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    corners = vertices[triangles]
    return 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]


def test_a_fine_sheet_becomes_a_coarse_one_that_covers_nearly_the_same_area() -> None:
    vertices, triangles = sheet(40, 0.4)
    merged, kept = merge_vertices(vertices + 0.001, triangles, 0.05)
    assert len(merged) < len(triangles) / 10
    assert np.all(area(vertices, merged) > 0), "a triangle was turned over"
    assert area(vertices, merged).sum() > 0.8 * 0.4**2
    assert np.array_equal(kept, np.unique(kept))


def test_triangles_that_keep_three_cells_stay_as_they_are() -> None:
    vertices, triangles = sheet(4, 0.4)
    merged, kept = merge_vertices(vertices + 0.001, triangles, 0.05)
    assert np.array_equal(merged, triangles)
    assert np.array_equal(kept, np.arange(len(triangles)))


def test_triangles_at_the_same_place_are_kept_once() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.01, 0, 0]]) + 0.001
    merged, kept = merge_vertices(vertices, np.array([[0, 1, 2], [3, 1, 2]]), 0.05)
    assert len(merged) == 1
    assert kept.tolist() == [0]
