"""Numbers of the scalar dofs: regions that share theirs, and dofs in one place."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ..errors import CaseError
from ..structure.images import image_steps
from ..structure.model import Structure

__all__ = ["region_groups", "shared_numbers"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def region_groups(
    structure: Structure, conductors: tuple[str, ...], contacts: Collection[str]
) -> Indices:
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
            raise CaseError(f"interfaces.{name}", "its two regions also touch, directly or through"
                            " others, without a contact")  # fmt: skip
    conducting = group >= 0
    group[conducting] = np.unique(group[conducting], return_inverse=True)[1]
    return group


def shared_numbers(
    locations: Array, group: Indices, periods: tuple[tuple[int, float], ...]
) -> tuple[Indices, int]:
    """Return the number of each dof, and how many there are; periodic images share a number.

    Height (last row) runs fastest.  This order makes incomplete factorisations of the strongly
    coupled vertical direction effective and keeps direct factors narrow on flat stacks.

    Args:
        locations: Coordinates [nm], shape (dim, n).
        group: Group of regions of each dof, shape (n,); only dofs of one group are joined.
        periods: Periodic rows with their periods [nm].
    """
    _, master = np.unique(
        np.vstack([image_steps(locations, periods), group]), axis=1, return_inverse=True
    )
    master = master.ravel()
    return master, int(master.max()) + 1
