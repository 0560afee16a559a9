"""A copy of the kitchen with a sixth of the triangles, with which the frames of policies are drawn."""

import copy
from typing import Any

import numpy as np

from astra.environments.coarse_mesh import merge_vertices

LEAST = 2000
"""Meshes with fewer triangles stay as they are; the links of the arm have 7,000 to 22,000."""
SIDES, RINGS = 12, 4
"""Sides of cylinders, capsules and spheres, and rings into which they are cut; MuJoCo has 28 and 16."""


def coarse_copy(model: Any) -> Any:
    """Return a copy of a `mujoco.MjModel`, with which states of the model can be drawn; its physics must not be used.

    Triangles that are left keep the normals of their own corners, so that they are shaded as before.
    """
    coarse = copy.copy(model)
    coarse.vis.quality.numslices, coarse.vis.quality.numstacks = SIDES, RINGS
    for mesh in np.flatnonzero(model.mesh_facenum >= LEAST).tolist():
        vertex, first = int(model.mesh_vertadr[mesh]), int(model.mesh_faceadr[mesh])
        vertices = model.mesh_vert[vertex : vertex + int(model.mesh_vertnum[mesh])]
        triangles = slice(first, first + int(model.mesh_facenum[mesh]))
        merged, kept = merge_vertices(vertices, model.mesh_face[triangles])
        fewer = slice(first, first + len(kept))
        coarse.mesh_face[fewer] = merged
        coarse.mesh_facenormal[fewer] = model.mesh_facenormal[triangles][kept]
        coarse.mesh_facetexcoord[fewer] = model.mesh_facetexcoord[triangles][kept]
        coarse.mesh_facenum[mesh] = len(kept)
    return coarse
