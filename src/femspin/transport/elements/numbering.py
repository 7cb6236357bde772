"""Numbers of the scalar dofs: regions that share theirs, and dofs in one place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from skfem.assembly.dofs import Dofs

from ...errors import CaseError
from ...structure.images import image_steps
from ...structure.model import Structure
from ...units import AnyArray, Array
from .lagrange import consistent_dofs

__all__ = ["positions_of", "raw_dofs", "region_groups", "shared_numbers", "used_pairs"]


def region_groups(structure: Structure, conductors: tuple[str, ...], contacts: Collection[str]) -> AnyArray:
    """Return the group of every region: regions joined without a contact are one group.

    Raises:
        CaseError: If the two sides of a contact also touch without one.
    """
    group = np.full(len(structure.regions), -1)
    for k, name in enumerate(conductors):
        group[structure.regions.index(name)] = k
    joined = [
        (structure.regions.index(f.first), structure.regions.index(f.second), name)
        for name, f in structure.interfaces.items()
        if f.first in conductors and f.second in conductors
    ]
    for a, b, name in joined:
        if name not in contacts:
            group[group == group[b]] = group[a]
    for a, b, name in joined:
        if name in contacts and group[a] == group[b]:
            raise CaseError(
                f"interfaces.{name}",
                "its two regions also touch, directly or through others, without a contact",
            )
    conducting = group >= 0
    group[conducting] = np.unique(group[conducting], return_inverse=True)[1]
    return group


def shared_numbers(
    locations: Array, group: AnyArray, periods: tuple[tuple[int, float], ...]
) -> tuple[AnyArray, int]:
    """Return the number of each dof, and how many there are; periodic images share a number.

    Height (last row) runs fastest.  This order makes incomplete factorisations of the strongly
    coupled vertical direction effective and keeps direct factors narrow on flat stacks.

    Args:
        locations: Coordinates [nm], shape (dim, n).
        group: Group of regions of each dof, shape (n,); only dofs of one group are joined.
        periods: Periodic rows with their periods [nm].
    """
    ranks = [*image_steps(locations, periods), group]
    key = np.zeros(len(group), np.int64)
    for row in ranks:  # every rank is below the number of dofs
        key = np.unique(key * (int(row.max()) + 1) + row, return_inverse=True)[1].ravel()
    return key.astype(np.int32), int(key.max()) + 1


def raw_dofs(mesh: Any, element: Any, vertices: AnyArray, cells: AnyArray | slice) -> tuple[AnyArray, int]:
    """Return the dofs of cells in scikit-fem's numbering, (n_local, n_cells), and their number.

    Where there is one at each vertex and nowhere else, these are the vertices themselves.
    """
    others = (element.edge_dofs, element.facet_dofs, element.interior_dofs)
    if element.nodal_dofs == 1 and not any(others):
        return vertices, int(mesh.nvertices)
    numbering = Dofs(mesh, element)
    own = consistent_dofs(element, vertices, numbering.element_dofs[:, cells])
    return own, int(numbering.N)


def used_pairs(dofs: AnyArray, group: AnyArray, shape: tuple[int, int]) -> tuple[AnyArray, AnyArray]:
    """Return group and dof of all pairs that occur, ascending, of dofs (n_local, n_cells).

    Args:
        dofs: Dofs of every cell.
        group: Group of every cell, shape (n_cells,).
        shape: Numbers of groups and dofs.
    """
    used = np.zeros(shape, bool)
    for row in dofs:
        used[group, row] = True
    groups, found = np.nonzero(used)
    return groups, found


def positions_of(mesh: Any, element: Any, cells: AnyArray, dofs: AnyArray, n: int) -> Array:
    """Return where the dofs of some cells lie [nm], shape (dim, n)."""
    positions = np.zeros((mesh.dim(), n))
    images = mesh._mapping().F(element.doflocs.T, cells)
    positions[:, dofs] = images.transpose(0, 2, 1)
    return positions
