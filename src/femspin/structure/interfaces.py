"""Finding interfaces, naming and orienting them, and checking a mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MeshError, closest
from .entities import number_facets
from .model import Interface, MeshQuality, cell_volumes, facet_measures

__all__ = ["find_interface", "find_interfaces", "find_pairs", "mesh_quality", "outer_facets"]

Indices = NDArray[np.int64]


def find_interfaces(
    mesh: Any, regions: Sequence[str], region_of_cell: Indices, kinds: Mapping[str, str]
) -> dict[str, Interface]:
    """Return every interface between two regions, by its name ``first|second``.

    The first region is the one that comes earlier in HM, F, FI, and among equals earlier in
    `regions`.
    """
    number_facets(mesh)
    rank = {"HM": 0, "F": 1, "FI": 2}
    order = {name: (rank[kinds[name]], k) for k, name in enumerate(regions)}
    left, right = mesh.f2t[:, mesh.f2t[1] >= 0]
    beside = np.unique(region_of_cell[left] * len(regions) + region_of_cell[right])
    touching = {
        divmod(int(k), len(regions)) for k in beside if k // len(regions) != k % len(regions)
    }
    pairs = {tuple(sorted((regions[a], regions[b]), key=lambda n: order[n])) for a, b in touching}
    ordered = sorted(pairs, key=lambda p: (order[p[0]], order[p[1]]))
    return find_pairs(mesh, regions, region_of_cell, [(a, b) for a, b in ordered])


def find_pairs(
    mesh: Any,
    regions: Sequence[str],
    region_of_cell: Indices,
    pairs: Sequence[tuple[str, str]],
) -> dict[str, Interface]:
    """Return the interfaces between given (first, second) regions, by name ``first|second``."""
    inner = np.flatnonzero(mesh.f2t[1] >= 0)
    left, right = mesh.f2t[:, inner]
    differs = region_of_cell[left] != region_of_cell[right]
    inner, left, right = inner[differs], left[differs], right[differs]
    found: dict[str, Interface] = {}
    for first, second in pairs:
        a, b = regions.index(first), regions.index(second)
        swap = (region_of_cell[left] == b) & (region_of_cell[right] == a)
        here = swap | ((region_of_cell[left] == a) & (region_of_cell[right] == b))
        facets = inner[here]
        name = f"{first}|{second}"
        found[name] = Interface(
            name, first, second, facets,
            cells_first=np.where(swap, right, left)[here],
            cells_second=np.where(swap, left, right)[here],
            measures=facet_measures(mesh, facets),
        )  # fmt: skip
    return found


def find_interface(name: str, interfaces: Mapping[str, Interface], path: str) -> Interface:
    """Return the interface called `name`, in either order of its two regions.

    Raises:
        MeshError: If the two regions do not touch; names the closest interface.
    """
    flipped = "|".join(reversed(name.split("|")))
    for candidate in (name, flipped):
        if candidate in interfaces:
            return interfaces[candidate]
    known = ", ".join(interfaces) or "none"
    raise MeshError(path, f"no interface {name!r}; interfaces: {known}{closest(name, interfaces)}")


def outer_facets(mesh: Any, cells: Indices) -> Indices:
    """Return the facets with exactly one neighbour among `cells`."""
    inside = np.zeros(mesh.nelements + 1, bool)
    inside[cells] = True
    inside[-1] = False  # f2t holds -1 where there is no cell
    count = inside[mesh.f2t[0]].astype(int) + inside[mesh.f2t[1]]
    return np.flatnonzero(count == 1)


def mesh_quality(mesh: Any) -> MeshQuality:
    """Return the quality of a mesh.

    Raises:
        MeshError: If a cell has no volume.
    """
    longest, shortest = np.zeros(mesh.nelements), np.full(mesh.nelements, np.inf)
    for a, b in _edges(mesh):  # one at a time: all edges of all cells would fill the memory
        length = np.linalg.norm(mesh.p[:, mesh.t[a]] - mesh.p[:, mesh.t[b]], axis=0)
        np.maximum(longest, length, out=longest)
        np.minimum(shortest, length, out=shortest)
    extent = np.stack([np.ptp(row[mesh.t], axis=0) for row in mesh.p])
    volume = np.abs(cell_volumes(mesh))
    simplex = mesh.t.shape[0] == mesh.dim() + 1
    full = np.prod(extent, axis=0) / (float(np.prod(range(1, mesh.dim() + 1))) if simplex else 1.0)
    flat = (shortest == 0) | (volume < 1e-15 * longest ** mesh.dim())
    if flat.any():
        raise MeshError("mesh", f"{int(flat.sum())} of {mesh.nelements} cells have no volume")
    return MeshQuality(
        cells=int(mesh.nelements),
        vertices=int(mesh.nvertices),
        smallest=float(shortest.min()),
        largest=float(longest.max()),
        aspect=float((longest / shortest).max()),
        shape=float((volume / full).min()),
    )


def _edges(mesh: Any) -> NDArray[np.int64]:
    """Return local vertex pairs of the edges of a cell, shape (n_edges, 2)."""
    vertices = mesh.t.shape[0]
    if mesh.dim() == 3 and vertices == 8:
        return np.asarray(mesh.refdom.edges, int)
    if mesh.dim() == 2 and vertices == 4:
        return np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    return np.array([(i, j) for i in range(vertices) for j in range(i + 1, vertices)])
