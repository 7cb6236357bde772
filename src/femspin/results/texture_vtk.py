"""Fields of a texture for ParaView: one file per instant and a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import meshio
import numpy as np

from ..magnets.space import TextureSpace
from ..units import Array
from .vtk import write_series

if TYPE_CHECKING:
    from ..device.model import Device

__all__ = ["potential_mesh", "texture_mesh", "write_frames", "write_potentials"]


_CELLS = {
    "MeshLine1": "line",
    "MeshTri1": "triangle",
    "MeshQuad1": "quad",
    "MeshTet1": "tetra",
    "MeshHex1": "hexahedron",
}
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
        [(_CELLS[type(mesh).__name__], corners[:, _HEX_ORDER] if corners.shape[1] == 8 else corners)],
        point_data={name: values[node] for name, values in fields.items()},
    )


def write_frames(
    space: TextureSpace, frames: Sequence[tuple[float, Mapping[str, Array]]], folder: Path
) -> None:
    """Write ``fields_*.vtu`` of every frame and ``fields.pvd``."""
    files = [f"fields_{k:04d}.vtu" for k in range(len(frames))]
    for file, (_, fields) in zip(files, frames, strict=True):
        texture_mesh(space, fields).write(folder / file)
    write_series(folder / "fields.pvd", [t for t, _ in frames], files)


def potential_mesh(device: Device, mu: Array) -> meshio.Mesh:
    """Return the conductors of a device [nm] with mu_0 and mu [meV] as point data.

    Args:
        device: The meshed device.
        mu: Potentials, shape (n_dofs, 4).
    """
    structure, space = device.structure, device.space
    mesh = structure.mesh
    points, cells, found, region, offset = [], [], [], [], 0
    for name in device.conductors:
        here = structure.cells(name)
        used, local = np.unique(mesh.t[:, here], return_inverse=True)
        corners = local.reshape(mesh.t[:, here].shape).T + offset
        cells.append(corners[:, _HEX_ORDER] if corners.shape[1] == 8 else corners)
        at = np.zeros((len(used), 3))
        at[:, list(structure.axes)] = mesh.p[:, used].T
        points.append(at)
        found.append(mu[space.numbers(name)[space.basis.nodal_dofs[0, used]]])
        region.append(np.full(len(here), structure.regions.index(name)))
        offset += len(used)
    values = np.concatenate(found)
    return meshio.Mesh(
        np.concatenate(points),
        [(_CELLS[type(mesh).__name__], np.concatenate(cells))],
        point_data={"mu_0": values[:, 0], "mu": values[:, 1:]},
        cell_data={"region": [np.concatenate(region)]},
    )


def write_potentials(
    device: Device,
    frames: Sequence[tuple[float, Mapping[str, Array]]],
    potentials: Sequence[Array],
    folder: Path,
) -> None:
    """Write ``transport_*.vtu`` of every frame and ``transport.pvd``."""
    files = [f"transport_{k:04d}.vtu" for k in range(len(frames))]
    for file, mu in zip(files, potentials, strict=True):
        potential_mesh(device, mu).write(folder / file)
    write_series(folder / "transport.pvd", [t for t, _ in frames], files)
