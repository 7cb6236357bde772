"""Refinement of a mesh with its regions, interfaces, faces and periodic sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import skfem
from numpy.typing import ArrayLike
from skfem.assembly import Dofs

from ..errors import CaseError
from ..units import AnyArray, Array
from .bisection import bisect
from .entities import Sides, region_sides
from .images import image_steps
from .interfaces import find_pairs, mesh_quality
from .model import Structure

__all__ = ["refine"]


_SECOND_ORDER = {
    "MeshLine1": skfem.ElementLineP2,
    "MeshTri1": skfem.ElementTriP2,
    "MeshQuad1": skfem.ElementQuad2,
    "MeshTet1": skfem.ElementTetP2,
    "MeshHex1": skfem.ElementHex2,
}


@dataclass(frozen=True)
class _Division:
    """A refined mesh and where its parts come from.

    Args:
        points: Vertices, the old ones first, shape (dim, n_vertices).
        cells: Shape (n_corners, n_cells).
        parent: Old cell of each cell, shape (n_cells,).
        ends: Old vertices of which each vertex is the mean, some repeated, shape (n_vertices, k).
    """

    points: Array
    cells: AnyArray
    parent: AnyArray
    ends: AnyArray


def refine(structure: Structure, cells: ArrayLike | None = None) -> Structure:
    """Return the structure on a finer mesh of the same device.

    Every edge of a refined cell is halved.  All cells together are divided into similar ones;
    with chosen simplices, others are divided as far as is needed to leave no hanging vertices
    and to keep good shapes, see `bisection`.

    Args:
        structure: The mesh.
        cells: Mesh cells to refine (lines, triangles, tetrahedra); None for all cells.

    Raises:
        CaseError: If cells are chosen in a mesh of quadrilaterals or hexahedra, do not exist, or
            the periodic sides of the mesh do not match.
    """
    mesh = structure.mesh
    if cells is None:
        division = _all(mesh)
    else:
        division = _sorted(_Division(*bisect(mesh, structure.periods, _chosen(mesh, cells))))
    finer = type(mesh)(division.points, np.ascontiguousarray(division.cells, np.int32))
    region_of_cell = structure.region_of_cell[division.parent]
    sides = region_sides(finer, region_of_cell)
    places = region_sides(mesh, structure.region_of_cell).places
    _require_matching_sides(finer, sides, structure.periods)
    pairs = [(face.first, face.second) for face in structure.interfaces.values()]
    if any(places(f) is None for f in structure.faces.values()):  # a face inside a region
        sides = _all_facets(finer, region_of_cell)
    carrier = _old_facets(structure, sides, division)
    return replace(
        structure,
        mesh=finer,
        region_of_cell=region_of_cell,
        interfaces=find_pairs(finer, structure.regions, region_of_cell, pairs),
        faces={name: sides.numbers[np.isin(carrier, facets)] for name, facets in structure.faces.items()},
        quality=mesh_quality(finer),
    )


def _chosen(mesh: Any, cells: ArrayLike) -> AnyArray:
    """Return the chosen cells, ascending."""
    chosen = np.asarray(cells)
    if chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    chosen = np.unique(chosen).astype(np.int64)
    if mesh.t.shape[0] != mesh.dim() + 1:
        kind, simplex = ("quad", "tri") if mesh.dim() == 2 else ("hex", "tet")
        raise CaseError(
            "structure.cell",
            f"{kind} cells can only be refined all at once; refine every cell,"
            f" or use {simplex} cells to refine some",
        )
    wrong = chosen[(chosen < 0) | (chosen >= mesh.nelements)]
    if len(wrong):
        raise CaseError("cells", f"the mesh has cells 0 to {mesh.nelements - 1} (got {int(wrong[0])})")
    return chosen


# ------------------------------------------------------------------------------------ all cells


def _all(mesh: Any) -> _Division:
    """Return every cell divided at the nodes of the second-order element."""
    element = _SECOND_ORDER[type(mesh).__name__]()
    numbering = Dofs(mesh, element)
    nodes = numbering.element_dofs
    sources = _sources(mesh.elem(), element.doflocs)
    ends = np.zeros((numbering.N, sources.shape[1]), np.int64)
    for local, corners in enumerate(sources):
        ends[nodes[local]] = mesh.t[corners].T
    points = np.hstack([mesh.p, mesh.p[:, ends[mesh.nvertices :]].mean(axis=2)])
    tables = [_corner_children(mesh.refdom, element.doflocs)]
    if type(mesh).__name__ == "MeshTri1":
        tables.append(np.array([[3, 4, 5]]))
    children = np.concatenate([nodes[table] for table in np.concatenate(tables)], axis=1)
    if type(mesh).__name__ == "MeshTet1":
        children = np.concatenate([children, *_octahedra(points, nodes)], axis=1)
    parent = np.tile(np.arange(mesh.nelements), children.shape[1] // mesh.nelements)
    return _sorted(_Division(points, children, parent, ends))


def _sources(corner_element: Any, nodes: Array) -> AnyArray:
    """Return the corners of which each node of a cell is the mean, repeated to equal length."""
    weights = [corner_element.lbasis(nodes.T, k)[0] for k in range(len(corner_element.doflocs))]
    at = [np.flatnonzero(row > 0.01).tolist() for row in np.stack(weights, axis=1)]
    longest = max(map(len, at))
    return np.array([(corners * longest)[:longest] for corners in at])


def _corner_children(refdom: Any, nodes: Array) -> AnyArray:
    """Return the local nodes of the half-size copies of the reference cell at its corners."""
    table = [
        [np.flatnonzero(np.all(nodes == (corner + other) / 2, axis=1))[0] for other in refdom.p.T]
        for corner in refdom.p.T
    ]
    return np.array(table, np.int64)


def _octahedra(points: Array, nodes: AnyArray) -> list[AnyArray]:
    """Return four tetrahedra around the shortest diagonal of the middle of every cell.

    Nodes 4 to 9 are the middles of the edges 01, 12, 02, 03, 13, 23; opposite edges face each
    other across the octahedron, and the other four middles go around the diagonal.
    """
    diagonals = np.array([[4, 9], [5, 7], [6, 8]])
    around = np.array([[5, 6, 7, 8], [4, 6, 9, 8], [4, 5, 9, 7]])
    ends = points[:, nodes[diagonals]]
    shortest = np.argmin(np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=0), axis=0)
    column = np.arange(nodes.shape[1])
    low, high = nodes[diagonals[shortest].T, column]
    ring = nodes[around[shortest].T, column]
    return [np.stack([low, high, ring[k], ring[(k + 1) % 4]]) for k in range(4)]


def _sorted(division: _Division) -> _Division:
    """Return the division with the children of one cell next to each other."""
    order = np.argsort(division.parent, kind="stable")
    return replace(division, cells=division.cells[:, order], parent=division.parent[order])


# ----------------------------------------------------------------------------------------- faces


def _old_facets(structure: Structure, sides: Sides, division: _Division) -> AnyArray:
    """Return the old facet in a named face that contains each side of a region, -1 for none."""
    mesh = structure.mesh
    named = np.zeros(mesh.facets.shape[1], bool)
    for facets in structure.faces.values():
        named[facets] = True
    parent = division.parent[sides.cells[0]]
    near = np.flatnonzero(named[mesh.t2f[:, parent]].any(axis=0))
    carrier = np.full(len(sides.numbers), -1)
    if not len(near):
        return carrier
    ends = division.ends[sides.corners[:, near]].transpose(1, 0, 2).reshape(len(near), -1)
    for facet in mesh.t2f[:, parent[near]]:
        corners = mesh.facets[:, facet].T
        inside = (ends[:, :, None] == corners[:, None, :]).any(axis=2).all(axis=1)
        carrier[near[inside & named[facet]]] = facet[inside & named[facet]]
    return carrier


def _all_facets(mesh: Any, region_of_cell: AnyArray) -> Sides:
    """Return all facets of a mesh as if regions ended there."""
    numbers = np.arange(mesh.facets.shape[1])
    return Sides(region_of_cell, numbers, mesh.facets, mesh.f2t)


def _require_matching_sides(mesh: Any, sides: Sides, periods: tuple[tuple[int, float], ...]) -> None:
    """Refuse a mesh whose periodic sides are divided differently."""
    for row, period in periods:
        number = np.unique(image_steps(mesh.p, ((row, period),)), axis=1, return_inverse=True)[1]
        height = mesh.p[row, sides.corners] - mesh.p[row].min()
        low, high = (
            np.unique(np.sort(number.ravel()[sides.corners[:, side]], axis=0), axis=1)
            for side in ((height < 1e-9 * period).all(0), (height > (1 - 1e-9) * period).all(0))
        )
        if not np.array_equal(low, high):
            raise CaseError(
                "structure.lateral",
                f"the mesh has {low.shape[1]} and {high.shape[1]} facets on"
                " two periodic sides, which do not match",
            )
