"""Cells that are affine images of the reference cell, straight from their vertices."""

from __future__ import annotations

from typing import Any

import numpy as np
from skfem.quadrature import get_quadrature

from ...structure.entities import facet_corners
from ...structure.model import cell_volumes, facet_measures, pieces
from ...units import Array, Indices

__all__ = [
    "affine_jets",
    "affine_maps",
    "affine_measures",
    "affine_points",
    "is_affine",
    "reference_frame",
    "simplex_traces",
]


# Of the cell: a map bent by less differs from an affine one by the round-off of coordinates.
_BENT = 1e-12


def is_affine(mesh: Any, cells: Indices) -> bool:
    """Return whether all cells are affine images of the reference cell: no bent quads or hexes."""
    if mesh.t.shape[0] == mesh.dim() + 1:
        return True
    origin, *axes = reference_frame(mesh)
    for piece in pieces(len(cells)):
        corners = mesh.p[:, mesh.t[:, cells[piece]]]
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


def affine_jets(mesh: Any, cells: Indices, table: Array, weights: Array) -> tuple[Array, Array]:
    """Return basis functions of affine cells with their derivatives, and quadrature weights.

    Args:
        mesh: The mesh.
        cells: Mesh cells, shape (n,).
        table: Derivatives and values on the reference cell, shape (points, n_local, dim + 1).
        weights: Of the rule on the reference cell, shape (points,).

    Returns:
        Derivatives [1/nm] and value, shape (n_local, dim + 1, n, points), and weights [nm^dim],
        shape (n, points).
    """
    inverse, volume = affine_maps(mesh, cells)
    slopes = np.einsum("qia,naj->ijnq", table[..., :-1], inverse)
    values = np.broadcast_to(table[:, :, -1].T[:, None, None], (*slopes[:, :1].shape,))
    return np.concatenate([slopes, values], axis=1), volume[:, None] * weights


def affine_points(mesh: Any, cells: Indices, places: Array) -> Array:
    """Return where points of the reference cell (dim, points) lie [nm], shape (n, points, dim)."""
    origin, *axes = reference_frame(mesh)
    start = mesh.p[:, mesh.t[origin, cells]]
    forward = np.stack([mesh.p[:, mesh.t[a, cells]] - start for a in axes], axis=1)
    found: Array = start.T[:, None] + np.einsum("jan,aq->nqj", forward, places)
    return found


def affine_measures(mesh: Any, cells: Indices) -> Array:
    """Return the volumes of affine cells [nm^dim], shape (n,)."""
    if mesh.t.shape[0] == mesh.dim() + 1:
        return np.abs(cell_volumes(mesh, cells))
    return affine_maps(mesh, cells)[1]


def simplex_traces(
    mesh: Any, element: Any, quadrature: int, facets: Indices, cells: Indices
) -> tuple[Array, Array]:
    """Return the basis of simplices on some of their facets, and the weights there.

    The points lie at the same places seen from both sides, as facets know their vertices.

    Args:
        mesh: The mesh.
        element: scikit-fem element.
        quadrature: scikit-fem order of the rule.
        facets: Mesh facets, shape (n,).
        cells: The cell at each, from which the trace is taken, shape (n,).

    Returns:
        Values, shape (n_local, n, points), and weights [nm^(dim - 1)], shape (n, points).
    """
    if mesh.dim() == 1:
        corners, shares = np.ones((1, 1)), np.ones(1)
    else:
        points, weights = get_quadrature(mesh.refdom.brefdom, quadrature)
        corners, shares = np.vstack([1 - points.sum(axis=0), points]), weights / weights.sum()
    vertices = facet_corners(mesh, facets) if mesh.dim() > 1 else np.asarray(facets)[None]
    own = mesh.t[:, cells]
    local = np.argmax(own[:, None] == vertices[None], axis=0)  # (facet vertex, n)
    places = np.einsum("jvn,vq->jnq", mesh.refdom.p[:, local], corners)
    shape = places.shape[1:]
    phi = np.stack(
        [np.broadcast_to(element.lbasis(places, i)[0], shape) for i in range(len(element.doflocs))]
    )
    return phi, facet_measures(mesh, facets)[:, None] * shares
