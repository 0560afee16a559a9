"""The robot with a fifth of its triangles, for drawing alone: its meshes have 105,000, which took most of a frame.

A copy of the clone's URDF names coarser meshes for what is drawn, and the clone's own files for all else. The copy and
the meshes lie in a temporary folder of the process, so that they can neither be outdated nor half written.
"""

import atexit
import importlib
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Int

from astra.environments.coarse_mesh import merge_vertices

LEAST = 2000
"""Meshes with fewer triangles stay as they are, such as the fingers; the others have 2,700 to 22,000."""
CELL, CELLS = 0.008, 10
"""Largest side in meters of the cells in which vertices are merged (two pixels of the static camera, 200 pixels wide),
and least number of cells along a mesh."""
PACKAGE = "package://"
"""Beginning of the names of files in the URDF: the folder of the URDF."""
FACE = re.compile(r"^f (\S+) (\S+) (\S+)$", re.MULTILINE)
"""A triangle of an OBJ file: three corners VERTEX/TEXTURE/NORMAL, of which the last two may be missing."""
FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
"""A triangle of an STL file."""
STL_HEADER = 84
"""Bytes before the triangles of an STL file."""


@cache
def coarse_robot(urdf: Path) -> Path:
    """Return a URDF of the same robot whose links are drawn with coarser meshes; its physics is the same.

    Args:
        urdf: URDF of the user's clone, with names of files that begin with `package://`.
    """
    folder = Path(tempfile.mkdtemp(prefix="astra-calvin-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tree = ElementTree.parse(urdf)
    for mesh in tree.iter("mesh"):
        mesh.set("filename", str(urdf.parent / mesh.attrib["filename"].removeprefix(PACKAGE)))
    for mesh in tree.iterfind("link/visual/geometry/mesh"):
        original = Path(mesh.attrib["filename"])
        if coarse := coarse_obj(_read(original)):
            mesh.set("filename", str(folder / f"{original.stem}.obj"))
            (folder / f"{original.stem}.obj").write_text(coarse)
            for beside in (*original.parent.glob("*.mtl"), *original.parent.glob("*.png")):
                shutil.copyfile(beside, folder / beside.name)
    tree.write(folder / urdf.name)
    return folder / urdf.name


def coarse_obj(text: str) -> str:
    """Return the text of an OBJ file with the vertices of each part merged; empty if it has few triangles.

    Corners of triangles that are left keep their normals and their places in the texture, so that they are shaded as
    before. Parts stay apart, because a cap that lies on a shell would else be at the same place as the shell.
    """
    faces = FACE.findall(text)
    if len(faces) < LEAST:
        return ""
    vertices = np.array(" ".join(re.findall(r"^v (.+)$", text, re.MULTILINE)).split(), np.float64).reshape(-1, 3)
    corners = [corner.partition("/") for face in faces for corner in face]
    triangles = np.array([int(vertex) - 1 for vertex, _, _ in corners]).reshape(-1, 3)
    length = float(np.ptp(vertices, axis=0).max())
    apart = vertices + 2 * length * _parts(triangles, len(vertices))[:, None]
    merged, kept = merge_vertices(apart, triangles, min(CELL, length / CELLS))
    lines = [""] * len(faces)
    for triangle, number in zip(merged.tolist(), kept.tolist(), strict=True):
        rest = (slash + others for _, slash, others in corners[3 * number : 3 * number + 3])
        lines[number] = "f " + " ".join(f"{vertex + 1}{end}" for vertex, end in zip(triangle, rest, strict=True))
    following = iter(lines)
    return FACE.sub(lambda _: next(following), text)


def _read(path: Path) -> str:
    """Return the text of an OBJ file, or what it would be for an STL file."""
    if path.suffix.lower() != ".stl":
        return path.read_text()
    facets = np.frombuffer(path.read_bytes()[STL_HEADER:], FACET)
    vertices, numbers = np.unique(facets["corners"].reshape(-1, 3), axis=0, return_inverse=True)
    lines = [f"v {x} {y} {z}" for x, y, z in vertices.tolist()]
    lines += [f"vn {x} {y} {z}" for x, y, z in facets["normal"].tolist()]
    corners = (numbers.reshape(-1, 3) + 1).tolist()
    lines += [f"f {a}//{n} {b}//{n} {c}//{n}" for n, (a, b, c) in enumerate(corners, start=1)]
    return "\n".join(lines) + "\n"


def _parts(triangles: Int[np.ndarray, "F 3"], vertices: int) -> Int[np.ndarray, " V"]:
    """Return for each vertex the number of its connected part, such as a shell, or a cap that lies on it."""
    sparse = importlib.import_module("scipy.sparse")
    ends = (triangles[:, :2].reshape(-1), triangles[:, 1:].reshape(-1))
    edges = sparse.coo_array((np.ones(len(ends[0])), ends), shape=(vertices, vertices))
    parts: Int[np.ndarray, " V"] = importlib.import_module("scipy.sparse.csgraph").connected_components(edges)[1]
    return parts
