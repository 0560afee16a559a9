"""The arm with an eighth of its triangles, for drawing alone: its meshes have 135,000, which took most of a frame."""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt32

from astra.environments.coarse_mesh import merge_vertices

LEAST = 500
"""Parts of a mesh with fewer triangles stay as they are, such as the fingers'."""
Mesh = tuple[Float[np.ndarray, "V 3"], UInt32[np.ndarray, "F 3"], Float[np.ndarray, "V 3"]]
"""Vertices in meters, triangles, and a normal per vertex."""

_meshes: dict[tuple[str, int], Mesh] = {}
"""Coarse meshes by file and number of the part: a scene is built anew at every reset."""


def draw_coarsely(sapien: Any, robot: Any) -> None:
    """Replace what is drawn of a robot's links by coarser meshes in the same colors; its physics is not touched.

    Args:
        sapien: The module.
        robot: ManiSkill's articulation.
    """
    for link in robot.links:
        entity = link._objs[0].entity
        detailed = entity.find_component_by_type(sapien.render.RenderBodyComponent)
        if detailed is None:
            continue
        coarse = sapien.render.RenderBodyComponent()
        coarse.name = detailed.name
        for shape in detailed.render_shapes:
            for number, part in enumerate(shape.parts):
                vertices, triangles, normals = _coarse(shape.filename, number, part)
                uvs = np.zeros((len(vertices), 2), np.float32)
                drawn = sapien.render.RenderShapeTriangleMesh(vertices, triangles, normals, uvs, part.material)
                drawn.local_pose = shape.local_pose
                coarse.attach(drawn)
        entity.remove_component(detailed)
        entity.add_component(coarse)


def _coarse(file: str, number: int, part: Any) -> Mesh:
    """Return the coarse mesh of a part; each vertex has the mean of the normals of the corners that it stands for."""
    if (file, number) not in _meshes:
        vertices, triangles, normals = part.vertices, part.triangles.astype(np.int64), part.get_vertex_normal()
        merged, kept = triangles, np.arange(len(triangles))
        if len(triangles) >= LEAST:
            merged, kept = merge_vertices(vertices, triangles)
        used, corners = np.unique(merged, return_inverse=True)
        sums = np.zeros((len(used), 3), np.float32)
        np.add.at(sums, corners.reshape(-1), normals[triangles[kept]].reshape(-1, 3))
        lengths = np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-9)
        _meshes[file, number] = (vertices[used], corners.reshape(-1, 3).astype(np.uint32), sums / lengths)
    return _meshes[file, number]
