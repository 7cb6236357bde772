"""Lagrange elements of any order on equispaced nodes, and one order of dofs on shared entities.

scikit-fem has no cubic tetrahedra and hexahedra.  With more than one dof on an edge or face, the
two cells beside it must also agree on which dof is which; scikit-fem's numbering leaves that open.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np
import skfem

from ...units import Array, Indices

__all__ = ["LagrangeElement", "consistent_dofs", "lagrange_element", "node_values"]


_ELEMENTS: dict[tuple[str, int], Any] = {
    ("MeshLine1", 1): skfem.ElementLineP1,
    ("MeshLine1", 2): skfem.ElementLineP2,
    ("MeshTri1", 1): skfem.ElementTriP1,
    ("MeshTri1", 2): skfem.ElementTriP2,
    ("MeshQuad1", 1): skfem.ElementQuad1,
    ("MeshQuad1", 2): skfem.ElementQuad2,
    ("MeshTet1", 1): skfem.ElementTetP1,
    ("MeshTet1", 2): skfem.ElementTetP2,
    ("MeshHex1", 1): skfem.ElementHex1,
    ("MeshHex1", 2): skfem.ElementHex2,
}


def lagrange_element(mesh: Any, order: int) -> Any:
    """Return the element of a mesh: of order 1 and 2 scikit-fem's, from 3 on `LagrangeElement`."""
    known = _ELEMENTS.get((type(mesh).__name__, order))
    return known() if known else LagrangeElement(mesh.refdom, order)


class LagrangeElement(skfem.ElementH1):  # type: ignore[misc]
    """Full polynomials of one order on a simplex, or of one order per axis on a cube.

    Every basis function is a product of factors of the linear forms that vanish on the sides of
    the reference cell (Silvester, Int. J. Eng. Sci. 7, 849 (1969)).  It is exact at the nodes at
    any order, where an inverted Vandermonde matrix of a cubic hexahedron would lose six digits.

    Args:
        refdom: Reference cell of scikit-fem.
        order: Polynomial order, at least 1.
    """

    def __init__(self, refdom: Any, order: int) -> None:
        self.refdom, self.order = refdom, order
        simplex = refdom.nnodes == refdom.dim() + 1
        self.maxdeg = order if simplex else order * refdom.dim()
        self._slope, self._offset = _side_forms(refdom.dim(), simplex)
        entities = _nodes_by_entity(refdom, order, simplex, self._slope, self._offset)
        self._index = np.concatenate([nodes for kind in entities for nodes in kind])
        counts = [len(kind[0]) if kind else 0 for kind in entities]
        self.nodal_dofs, self.edge_dofs, self.facet_dofs, self.interior_dofs = counts
        self.dofnames = ["u"] * sum(counts)
        # The coordinate x_k of a node is order times the form x_k.
        axes = [int(np.flatnonzero(np.all(self._slope == row, axis=1))[0]) for row in np.eye(refdom.dim())]
        self.doflocs = self._index[:, axes] / order

    def lbasis(self, X: Array, i: int) -> tuple[Array, Array]:
        """Return basis function `i` (...,) and its derivatives (dim, ...) at points (dim, ...)."""
        offset = self._offset.reshape(-1, *(1,) * (X.ndim - 1))
        sides = np.tensordot(self._slope, X, axes=1) + offset
        factors = [_factor(self.order, m, s) for m, s in zip(self._index[i], sides, strict=True)]
        values = [value for value, _ in factors]
        gradient = np.zeros_like(X)
        for k, (_, slope) in enumerate(factors):
            others = prod(values[:k] + values[k + 1 :], start=np.ones_like(X[0]))
            for row in np.flatnonzero(self._slope[k]):
                gradient[row] += self._slope[k, row] * slope * others
        return prod(values, start=np.ones_like(X[0])), gradient


def _side_forms(dimension: int, simplex: bool) -> tuple[Array, Array]:
    """Return slopes (n, dim) and offsets (n,) of the linear forms that vanish on the sides."""
    unit = np.eye(dimension)
    if simplex:
        return np.vstack([-np.ones(dimension), unit]), np.array([1.0] + dimension * [0.0])
    return np.vstack([unit, -unit]), np.repeat([0.0, 1.0], dimension)


def _nodes_by_entity(
    refdom: Any, order: int, simplex: bool, slope: Array, offset: Array
) -> list[list[Indices]]:
    """Return the nodes of every vertex, edge (3D), facet and the inside, as multiples of 1/order.

    A node (n_forms,) belongs to the entity on which the same forms vanish.
    """
    d = refdom.dim()
    lattice = [
        (order - sum(a), *a) if simplex else (*a, *(order - n for n in a))
        for a in product(range(order + 1), repeat=d)
    ]
    nodes = np.array([a for a in lattice if min(a) >= 0], np.int64)
    vanishing = np.isclose(slope @ refdom.p + offset[:, None], 0.0)

    def inside(vertices: list[int]) -> Indices:
        zero = vanishing[:, vertices].all(axis=1)
        found: Indices = nodes[((nodes == 0) == zero).all(axis=1)]
        return found

    everything = list(range(refdom.nnodes))
    return [
        [inside([v]) for v in everything],
        [inside(e) for e in refdom.edges] if d == 3 else [],
        [inside(f) for f in refdom.facets] if d >= 2 else [],
        [inside(everything)],
    ]


def _factor(order: int, m: int, side: Array) -> tuple[Array, Array]:
    """Return R_m, which is 1 at side = m/order and 0 at lower nodes, and its derivative."""
    value, slope = np.ones_like(side), np.zeros_like(side)
    for k in range(m):
        step = (order * side - k) / (k + 1)
        slope = slope * step + value * (order / (k + 1))
        value = value * step
    return value, slope


def node_values(element: Any, points: Array) -> Array:
    """Return the basis functions at reference points (n, dim), shape (n, n_local).

    Round-off at the nodes is cleared, so that an interpolation matrix stays sparse.
    """
    n_local = len(element.doflocs)
    shape = (len(points),)
    values = [np.broadcast_to(element.lbasis(points.T, i)[0], shape) for i in range(n_local)]
    table = np.stack(values, axis=1)
    table[np.abs(table) < 1e-13] = 0.0
    return table


def consistent_dofs(element: Any, vertices: Indices, dofs: Indices) -> Indices:
    """Return element dofs with which all cells at an edge or face name its nodes alike.

    The nodes of an entity are sorted by their weights on its vertices, taken in the order of the
    vertex numbers of the mesh.  Both are exact integers and the same seen from every cell.

    Args:
        element: Lagrange element.
        vertices: Mesh vertices of the cells, shape (n_vertices, n_cells).
        dofs: Dofs of the cells in the numbering of scikit-fem, shape (n_local, n_cells).
    """
    shared = [(rows, own) for rows, own in _shared_rows(element) if len(rows) > 1]
    if not shared:
        return dofs
    weights = node_values(LagrangeElement(element.refdom, 1), element.doflocs)
    steps = float(element.order) ** element.refdom.dim()
    counts = np.rint(weights * steps).astype(np.int64)
    fixed = dofs.copy()
    for rows, own in shared:
        by_number = np.argsort(vertices[own], axis=0)
        ordered = counts[rows[:, None], own][:, by_number]
        digits = (int(steps) + 1) ** np.arange(len(own))
        key = np.einsum("kvc,v->kc", ordered, digits)
        rank = np.argsort(np.argsort(key, axis=0), axis=0)
        fixed[rows] = np.take_along_axis(dofs[rows], rank, axis=0)
    return fixed


def _shared_rows(element: Any) -> Iterator[tuple[Indices, list[int]]]:
    """Yield the local dofs and the local vertices of every edge (3D) and facet of a cell."""
    refdom = element.refdom
    start = element.nodal_dofs * refdom.nnodes
    kinds = [(refdom.edges, element.edge_dofs)] if refdom.dim() == 3 else []
    kinds += [(refdom.facets, element.facet_dofs)] if refdom.dim() >= 2 else []
    for entities, count in kinds:
        for own in entities:
            yield np.arange(start, start + count), own
            start += count
