"""Cells that are affine images of the reference cell, straight from their vertices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["affine_maps", "affine_measures", "is_affine", "reference_frame"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# Of the cell: a map bent by less differs from an affine one by the round-off of coordinates.
_BENT = 1e-12


def is_affine(mesh: Any, cells: Indices) -> bool:
    """Return whether all cells are affine images of the reference cell: no bent quads or hexes."""
    if mesh.t.shape[0] == mesh.dim() + 1:
        return True
    origin, *axes = reference_frame(mesh)
    corners = mesh.p[:, mesh.t[:, cells]]
    start = corners[:, origin]
    edges = [corners[:, a] - start for a in axes]
    size = np.ptp(corners, axis=1).max(axis=0)
    for v, place in enumerate(mesh.refdom.p.T):
        image = start + sum(x * e for x, e in zip(place, edges, strict=True))
        if np.any(np.abs(corners[:, v] - image) > _BENT * size):
            return False
    return True


def reference_frame(mesh: Any) -> list[int]:
    """Return the local vertices at the origin and at the unit points of the reference cell."""
    places = mesh.refdom.p.T
    wanted = np.vstack([np.zeros(mesh.dim()), np.eye(mesh.dim())])
    return [int(np.flatnonzero(np.all(places == x, axis=1))[0]) for x in wanted]


def affine_maps(mesh: Any, cells: Indices) -> tuple[Array, Array]:
    """Return the inverse maps and volumes of affine cells.

    Args:
        mesh: The mesh.
        cells: Mesh cells, shape (n,).

    Returns:
        d(reference coordinate a)/dx_j, shape (n, dim, dim) = (a, j), and the volume over that of
        the reference cell, shape (n,), positive.
    """
    origin, *axes = reference_frame(mesh)
    start = mesh.p[:, mesh.t[origin, cells]]
    forward = np.stack([mesh.p[:, mesh.t[a, cells]] - start for a in axes], axis=1)
    forward = forward.transpose(2, 0, 1)  # (cell, x_j, reference a)
    return np.linalg.inv(forward), np.abs(np.linalg.det(forward))


def affine_measures(mesh: Any, cells: Indices) -> Array:
    """Return the volumes of affine cells [nm^dim], shape (n,)."""
    reference = 1.0
    if mesh.t.shape[0] == mesh.dim() + 1:
        for k in range(2, mesh.dim() + 1):
            reference /= k
    return reference * affine_maps(mesh, cells)[1]
