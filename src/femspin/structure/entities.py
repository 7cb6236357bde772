"""Facets of large meshes: the numbering of scikit-fem from one sort of whole numbers.

scikit-fem sorts columns of vertex numbers, and sorts again to find the cells beside each facet.
All facets take more memory than the mesh itself, and a solution asks only for those at which a
region ends.  So these alone are kept, with the numbers they have among all; the meshes here
number the rest when somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import skfem
from numpy.typing import NDArray

from ..units import AnyArray

__all__ = [
    "MeshHex1",
    "MeshQuad1",
    "MeshTet1",
    "MeshTri1",
    "Sides",
    "facet_cells",
    "facet_corners",
    "find_facets",
    "grouped_facets",
    "number_facets",
    "region_sides",
]


_LARGEST_KEY = 2**62


@dataclass(frozen=True)
class Sides:
    """The facets at which regions end: outer ones, and those between two regions.

    Args:
        region_of_cell: The regions, shape (n_cells,).
        numbers: Facet numbers of scikit-fem, ascending, shape (n,).
        corners: Their vertices, shape (n_corners, n).
        cells: The cells beside each, -1 for none, shape (2, n).
    """

    region_of_cell: AnyArray
    numbers: AnyArray
    corners: AnyArray
    cells: AnyArray

    def whole(self, inside: NDArray[np.bool_]) -> bool:
        """Return whether the cells inside (n_cells,) are all cells of their regions."""
        touched = np.zeros(int(self.region_of_cell.max()) + 1, bool)
        touched[self.region_of_cell[inside]] = True
        return np.array_equal(touched[self.region_of_cell], inside)

    def places(self, facets: AnyArray) -> AnyArray | None:
        """Return where some facets stand here, None if one of them is not here."""
        if not len(self.numbers):
            return None if len(facets) else np.zeros(0, int)
        found = np.minimum(np.searchsorted(self.numbers, facets), len(self.numbers) - 1)
        return found if np.array_equal(self.numbers[found], facets) else None


class _NumberedLate:
    """A mesh that numbers its facets when they are first asked for."""

    def _init_facets(self) -> None:
        number_facets(self)

    @property
    def f2t(self) -> AnyArray:
        """The cells beside each facet, -1 for none, shape (2, n_facets)."""
        number_facets(self)
        cells: AnyArray = self._f2t  # type: ignore[attr-defined]
        return cells

    def save(self, *arguments: Any, **options: Any) -> None:
        """Write the mesh to a file; scikit-fem knows only its own types by name."""
        plain = next(kind for kind in type(self).__mro__ if kind.__module__.startswith("skfem"))
        given = {f.name: getattr(self, f.name) for f in fields(plain) if f.init}
        plain(**given).save(*arguments, **options)


class MeshTri1(_NumberedLate, skfem.MeshTri1):  # type: ignore[misc]
    """Triangles."""


class MeshQuad1(_NumberedLate, skfem.MeshQuad1):  # type: ignore[misc]
    """Quadrilaterals."""


class MeshTet1(_NumberedLate, skfem.MeshTet1):  # type: ignore[misc]
    """Tetrahedra."""


class MeshHex1(_NumberedLate, skfem.MeshHex1):  # type: ignore[misc]
    """Hexahedra."""


def region_sides(mesh: Any, region_of_cell: AnyArray) -> Sides:
    """Return the facets at which regions end; the mesh keeps them.

    Args:
        mesh: scikit-fem mesh of cells without higher-order nodes.
        region_of_cell: Shape (n_cells,).
    """
    kept: Sides | None = getattr(mesh, "_sides", None)
    if kept is not None and kept.region_of_cell is region_of_cell:
        return kept
    if mesh.dim() < 2 or hasattr(mesh, "_f2t"):
        beside = mesh.f2t
        numbers = _ending(beside, region_of_cell)
        corners = mesh.facets[:, numbers]
    else:
        order, first = grouped_facets(mesh)
        slots, beside = _beside(order, first, mesh.nelements)
        numbers = _ending(beside, region_of_cell)
        corners = _corners(mesh, slots[numbers])
    sides = Sides(region_of_cell, numbers, corners, beside[:, numbers])
    mesh._sides = sides
    return sides


def facet_corners(mesh: Any, facets: AnyArray) -> AnyArray:
    """Return the vertices of some facets, shape (n_corners, n)."""
    known = _known(mesh, facets)
    return np.asarray(mesh.facets[:, facets] if known is None else mesh._sides.corners[:, known])


def facet_cells(mesh: Any, facets: AnyArray) -> AnyArray:
    """Return the cells beside some facets, -1 for none, shape (2, n)."""
    known = _known(mesh, facets)
    return np.asarray(mesh.f2t[:, facets] if known is None else mesh._sides.cells[:, known])


def _known(mesh: Any, facets: AnyArray) -> AnyArray | None:
    """Return where some facets stand among the kept ones, None if not all of them do."""
    kept: Sides | None = getattr(mesh, "_sides", None)
    return None if kept is None else kept.places(np.asarray(facets))


def find_facets(mesh: Any, corners: AnyArray) -> AnyArray:
    """Return the facets with given vertices in any order (n_corners, n), -1 for none, (n,)."""
    sides: Sides | None = getattr(mesh, "_sides", None)
    if sides is not None:
        found = _places(sides.corners, corners)
        if np.all(found >= 0):
            return np.asarray(sides.numbers[found])
    return _places(mesh.facets, corners)


def _places(known: AnyArray, wanted: AnyArray) -> AnyArray:
    """Return the column of `known` with the same numbers as each of `wanted`, -1 for none."""
    both = np.sort(np.concatenate([known, wanted], axis=1), axis=0)
    kinds, kind = np.unique(both, axis=1, return_inverse=True)
    kind = kind.ravel()
    place = np.full(kinds.shape[1], -1)
    place[kind[: known.shape[1]]] = np.arange(known.shape[1])
    return place[kind[known.shape[1] :]]


def number_facets(mesh: Any) -> None:
    """Set the facets of a mesh and their relation to its cells, exactly as scikit-fem would.

    Args:
        mesh: scikit-fem mesh of cells without higher-order nodes.
    """
    if mesh.dim() < 2 or hasattr(mesh, "_f2t"):
        return
    order, first = grouped_facets(mesh)
    number = np.empty(len(order), np.int32)
    number[order] = np.cumsum(first, dtype=np.int32) - np.int32(1)
    slots, beside = _beside(order, first, mesh.nelements)
    del order, first
    mesh._facets = _corners(mesh, slots)
    mesh._t2f = number.reshape(-1, mesh.nelements)
    mesh._f2t = beside


def grouped_facets(mesh: Any) -> tuple[AnyArray, NDArray[np.bool_]]:
    """Return all facets of all cells, equal ones together, and which are the first of equals.

    A slot, local facet times number of cells plus cell, stands for the facet of a cell; both
    shapes are (n_slots,).  Groups ascend by their sorted vertices, slots ascend in a group.
    """
    leading, trailing = _keys(mesh)
    if trailing is None:
        order = np.argsort(leading, kind="stable")
    else:
        order = np.lexsort((trailing, leading))
    first = np.ones(len(order), bool)
    leading = leading[order]
    np.not_equal(leading[1:], leading[:-1], out=first[1:])
    if trailing is not None:
        trailing = trailing[order]
        first[1:] |= trailing[1:] != trailing[:-1]
    return order, first


def _keys(mesh: Any) -> tuple[AnyArray, AnyArray | None]:
    """Return numbers that order the slots by their sorted vertices, and others among equals.

    The second is None if one number holds all vertices of a facet.
    """
    corners, vertices = mesh.elem.refdom.facets, int(mesh.p.shape[1])
    count = len(corners[0])
    together = count if float(vertices) ** count < _LARGEST_KEY else 2
    keys = np.zeros((1 if together == count else 2, len(corners), mesh.nelements), np.int64)
    for k, own in enumerate(corners):
        for place, row in enumerate(_ascending([mesh.t[v] for v in own])):
            key = keys[int(place >= together), k]
            key *= vertices
            key += row
    return keys[0].ravel(), None if len(keys) == 1 else keys[1].ravel()


def _ascending(rows: list[AnyArray]) -> list[AnyArray]:
    """Return rows with every column sorted: for a few rows faster than `numpy.sort`."""
    for end in range(len(rows) - 1, 0, -1):
        for k in range(end):
            low, high = rows[k], rows[k + 1]
            rows[k], rows[k + 1] = np.minimum(low, high), np.maximum(low, high)
    return rows


def _beside(order: AnyArray, first: NDArray[np.bool_], cells: int) -> tuple[AnyArray, AnyArray]:
    """Return the first slot of every facet, and the cells beside it, shape (2, n_facets)."""
    slots = order[first].astype(np.int32 if len(order) < 2**31 else np.int64)
    beside = np.empty((2, len(slots)), np.int32)
    np.remainder(slots, cells, out=beside[0], casting="unsafe")
    last = np.append(first[1:], True)
    np.remainder(order[last], cells, out=beside[1], casting="unsafe")
    beside[1, beside[0] == beside[1]] = -1
    return slots, beside


def _corners(mesh: Any, slots: AnyArray) -> AnyArray:
    """Return the vertices of facets, ascending, shape (n_corners, n).

    Around a quadrilateral face they stay in the order of the first cell, as in scikit-fem.
    """
    table = np.asarray(mesh.elem.refdom.facets)
    local, cell = np.divmod(slots, mesh.nelements)
    rows = [mesh.t[column[local], cell] for column in table.T]
    return np.stack(rows if len(rows) == 4 else _ascending(rows))


def _ending(beside: AnyArray, region_of_cell: AnyArray) -> AnyArray:
    """Return the facets without a second cell or with cells of two regions."""
    left, right = region_of_cell[beside[0]], region_of_cell[beside[1]]
    return np.flatnonzero((beside[1] < 0) | (left != right))
