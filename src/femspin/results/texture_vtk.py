"""Fields of a texture for ParaView: one file per instant and a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import meshio
import numpy as np
from numpy.typing import NDArray

from ..dynamics.texture.space import TextureSpace
from .vtk import write_series

__all__ = ["texture_mesh", "write_frames"]

Array = NDArray[np.float64]

_CELLS = {
    "MeshLine1": "line", "MeshTri1": "triangle", "MeshQuad1": "quad",
    "MeshTet1": "tetra", "MeshHex1": "hexahedron",
}  # fmt: skip
# scikit-fem numbers the corners of a hexahedron by distance from corner 0, VTK around its faces.
_HEX_ORDER = [0, 3, 6, 2, 1, 5, 7, 4]


def texture_mesh(space: TextureSpace, fields: Mapping[str, Array]) -> meshio.Mesh:
    """Return the mesh of the magnet [nm] with nodal fields as point data."""
    mesh = space.mesh
    used, local = np.unique(mesh.t[:, space.cells], return_inverse=True)
    corners = local.reshape(mesh.t[:, space.cells].shape).T
    points = np.zeros((len(used), 3))
    points[:, list(space.axes)] = mesh.p[:, used].T
    node = space.node_of_vertex[used]
    return meshio.Mesh(
        points,
        [(_CELLS[type(mesh).__name__], corners[:, _HEX_ORDER] if corners.shape[1] == 8
          else corners)],
        point_data={name: values[node] for name, values in fields.items()},
    )  # fmt: skip


def write_frames(
    space: TextureSpace, frames: Sequence[tuple[float, Mapping[str, Array]]], folder: Path
) -> None:
    """Write ``fields_*.vtu`` of every frame and ``fields.pvd``."""
    files = [f"fields_{k:04d}.vtu" for k in range(len(frames))]
    for file, (_, fields) in zip(files, frames, strict=True):
        texture_mesh(space, fields).write(folder / file)
    write_series(folder / "fields.pvd", [t for t, _ in frames], files)
