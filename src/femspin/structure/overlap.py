"""Cells that lie on top of each other, which no weak form notices.

A mesh covers every place once if it is so across every facet (the cells beside it lie on its two
sides), within every cell (no corner is turned over), and if no part of its surface lies inside a
cell.  The first two find folds, the last patches that overlap without knowing of each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import MeshError
from ..units import AnyArray, Array
from .entities import grouped_facets
from .model import pieces

__all__ = ["facet_normals", "require_no_overlap"]


# Heights over a facet, relative to the mesh, whose sign is round-off.
_FLAT = 1e-12
# How far inside a cell, relative to its middle, a point must lie to count; faces of hexahedra
# need not be plane.
_INSIDE, _INSIDE_HEX = 1e-6, 0.05


def require_no_overlap(mesh: Any, path: str) -> None:
    """Refuse a mesh whose cells overlap.

    Args:
        mesh: scikit-fem mesh of triangles, quadrilaterals, tetrahedra or hexahedra.
        path: The file, for the message.

    Raises:
        MeshError: With the number of cells and the place of the first.
    """
    order, first = grouped_facets(mesh)
    starts = np.flatnonzero(first)
    beside = np.diff(np.append(starts, len(order)))
    if beside.max() > 2:
        raise MeshError(
            "mesh.file",
            f"{int((beside > 2).sum())} facets of {path!r} have more than two cells;"
            " cells overlap, mesh the geometry again",
        )
    wrong = np.zeros(mesh.nelements, bool)
    wrong[_turned_over(mesh)] = True
    inner = starts[beside == 2]
    for piece in pieces(len(inner)):
        pairs = order[inner[piece]], order[inner[piece] + 1]
        left, right = (_height(mesh, pairs[0], slots % mesh.nelements) for slots in pairs)
        least = _FLAT * float(np.ptp(mesh.p))
        fold = (left * right > 0) & (np.minimum(abs(left), abs(right)) > least)
        wrong[pairs[1][fold] % mesh.nelements] = True
    if not wrong.any():
        wrong[_pierced(mesh, order[starts[beside == 1]])] = True
    if wrong.any():
        place = mesh.p[:, mesh.t[:, np.flatnonzero(wrong)[0]]].mean(axis=1)
        raise MeshError(
            "mesh.file",
            f"{int(wrong.sum())} cells of {path!r} overlap others or are turned over,"
            f" the first at ({', '.join(f'{x:.4g}' for x in place)}) nm; mesh the geometry again",
        )


def _turned_over(mesh: Any) -> AnyArray:
    """Return the quadrilaterals and hexahedra whose map from the reference cell folds."""
    reference = mesh.elem.refdom.p.T
    if mesh.t.shape[0] == mesh.dim() + 1:
        return np.zeros(0, int)
    found = []
    for piece in pieces(mesh.nelements):
        p = mesh.p[:, mesh.t[:, piece]]
        turns = []
        for k, corner in enumerate(reference):
            steps = reference - corner
            along = [
                int(np.flatnonzero((steps != 0).sum(1) * (steps[:, a] != 0) == 1)[0])
                for a in range(mesh.dim())
            ]
            edges = [(p[:, j] - p[:, k]) * steps[j, a] for a, j in enumerate(along)]
            turns.append(np.linalg.det(np.array(edges).transpose(2, 0, 1)))
        low, high = np.min(turns, axis=0), np.max(turns, axis=0)
        bad = (low < 0) & (high > 0) & (np.minimum(-low, high) > _FLAT * (high - low))
        found.append(np.flatnonzero(bad) + piece.start)
    return np.concatenate(found)


def _normals(mesh: Any, slots: AnyArray) -> tuple[Array, Array]:
    """Return the middles and normals of facets, given as facets of a cell, (dim, n) each."""
    local, cell = np.divmod(slots, mesh.nelements)
    table = np.asarray(mesh.elem.refdom.facets)
    return facet_normals(np.stack([mesh.p[:, mesh.t[column[local], cell]] for column in table.T], axis=1))


def facet_normals(p: Array) -> tuple[Array, Array]:
    """Return the middles and normals, not of unit length, of facets, shape (dim, n) each.

    Args:
        p: Their corners in any order, shape (dim, corners, n).
    """
    middle = p.mean(axis=1)
    if len(p) == 2:
        x, y = p[:, 1] - p[:, 0]
        return middle, np.stack([-y, x])
    if p.shape[1] == 3:
        return middle, np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0], axis=0)
    pairs = ((1, 0, 3, 2), (2, 0, 3, 1), (3, 0, 2, 1))  # one pairs the diagonals, the largest
    ways = np.array([np.cross(p[:, a] - p[:, b], p[:, c] - p[:, d], axis=0) for a, b, c, d in pairs])
    largest = np.argmax((ways**2).sum(axis=1), axis=0)
    return middle, np.take_along_axis(ways, largest[None, None], axis=0)[0]


def _height(mesh: Any, slots: AnyArray, cells: AnyArray) -> Array:
    """Return how high the middles of cells lie over facets, shape (n,)."""
    middle, normal = _normals(mesh, slots)
    above = mesh.p[:, mesh.t[:, cells]].mean(axis=1) - middle
    return np.asarray((normal * above).sum(axis=0) / np.linalg.norm(normal, axis=0))


def _pierced(mesh: Any, outer: AnyArray) -> AnyArray:
    """Return the cells that have a point of the surface inside.

    Args:
        mesh: The mesh.
        outer: The facets with one cell, as facets of it.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(_surface_points(mesh, outer))
    least = _INSIDE_HEX if mesh.t.shape[0] == 8 else _INSIDE
    found = []
    for piece in pieces(mesh.nelements):
        corners = mesh.p[:, mesh.t[:, piece]]
        centre = corners.mean(axis=1)
        reach = np.sqrt(((corners - centre[:, None]) ** 2).sum(axis=0).max(axis=0))
        near = tree.query_ball_point(centre.T, reach)
        count = np.array([len(x) for x in near])
        if not count.any():
            continue
        cells = np.repeat(np.arange(piece.start, piece.start + len(count)), count)
        points = tree.data[np.concatenate([x for x in near if x]).astype(int)].T
        inside = np.ones(len(cells), bool)
        for local in range(len(mesh.elem.refdom.facets)):
            middle, normal = _normals(mesh, local * mesh.nelements + cells)
            up = centre[:, cells - piece.start] - middle
            inside &= (normal * (points - middle)).sum(0) * np.sign((normal * up).sum(0)) > (
                least * np.abs((normal * up).sum(0))
            )
        found.append(np.unique(cells[inside]))
    return np.concatenate(found) if found else np.zeros(0, int)


def _surface_points(mesh: Any, outer: AnyArray) -> Array:
    """Return corners, middles and points between them of facets, shape (n, dim)."""
    local, cell = np.divmod(outer, mesh.nelements)
    table = np.asarray(mesh.elem.refdom.facets)
    vertices = np.stack([mesh.t[column[local], cell] for column in table.T])
    p = mesh.p[:, vertices]
    middle = p.mean(axis=1, keepdims=True)
    between = np.concatenate([middle, 0.5 * (p + middle)], axis=1).reshape(len(p), -1)
    return np.concatenate([mesh.p[:, np.unique(vertices)], between], axis=1).T
