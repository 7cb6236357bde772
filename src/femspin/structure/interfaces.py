"""Finding interfaces, naming and orienting them, and checking a mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MeshError, closest
from ..units import AnyArray
from .entities import region_sides
from .model import Interface, MeshQuality, cell_volumes, facet_measures, pieces

__all__ = ["find_interface", "find_interfaces", "find_pairs", "mesh_quality", "outer_facets"]


def find_interfaces(
    mesh: Any, regions: Sequence[str], region_of_cell: AnyArray, kinds: Mapping[str, str]
) -> dict[str, Interface]:
    """Return every interface between two regions, by its name ``first|second``.

    The first region is the one that comes earlier in HM, F, FI, I, and among equals earlier in
    `regions`.
    """
    rank = {"HM": 0, "F": 1, "FI": 2, "I": 3}
    order = {name: (rank[kinds[name]], k) for k, name in enumerate(regions)}
    cells = region_sides(mesh, region_of_cell).cells
    left, right = region_of_cell[cells[:, cells[1] >= 0]].astype(np.int64)
    beside = np.unique(left * len(regions) + right)
    touching = {divmod(int(k), len(regions)) for k in beside if k // len(regions) != k % len(regions)}
    pairs = {tuple(sorted((regions[a], regions[b]), key=lambda n: order[n])) for a, b in touching}
    ordered = sorted(pairs, key=lambda p: (order[p[0]], order[p[1]]))
    return find_pairs(mesh, regions, region_of_cell, [(a, b) for a, b in ordered])


def find_pairs(
    mesh: Any, regions: Sequence[str], region_of_cell: AnyArray, pairs: Sequence[tuple[str, str]]
) -> dict[str, Interface]:
    """Return the interfaces between given (first, second) regions, by name ``first|second``."""
    sides = region_sides(mesh, region_of_cell)
    shared = sides.cells[1] >= 0
    inner, (left, right) = sides.numbers[shared], sides.cells[:, shared]
    found: dict[str, Interface] = {}
    for first, second in pairs:
        a, b = regions.index(first), regions.index(second)
        swap = (region_of_cell[left] == b) & (region_of_cell[right] == a)
        here = swap | ((region_of_cell[left] == a) & (region_of_cell[right] == b))
        facets = inner[here]
        name = f"{first}|{second}"
        found[name] = Interface(
            name,
            first,
            second,
            facets,
            cells_first=np.where(swap, right, left)[here],
            cells_second=np.where(swap, left, right)[here],
            measures=facet_measures(mesh, facets),
        )
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


def outer_facets(mesh: Any, cells: AnyArray) -> AnyArray:
    """Return the facets with exactly one neighbour among `cells`."""
    inside = np.zeros(mesh.nelements + 1, bool)
    inside[cells] = True
    inside[-1] = False  # the number of a cell is -1 where there is none
    sides = getattr(mesh, "_sides", None)
    if sides is not None and sides.whole(inside[:-1]):
        left, right = inside[sides.cells]
        return np.asarray(sides.numbers[left != right])
    left, right = mesh.f2t
    return np.flatnonzero(inside[left] != inside[right])


def mesh_quality(mesh: Any) -> MeshQuality:
    """Return the quality of a mesh.

    Raises:
        MeshError: If a cell has no volume.
    """
    parts = [_piece_quality(mesh, cells) for cells in pieces(mesh.nelements)]
    flat, shortest, longest, aspect, shape = np.array(parts).T
    if flat.any():
        raise MeshError("mesh", f"{int(flat.sum())} of {mesh.nelements} cells have no volume")
    return MeshQuality(
        cells=int(mesh.nelements),
        vertices=int(mesh.nvertices),
        smallest=float(shortest.min()),
        largest=float(longest.max()),
        aspect=float(aspect.max()),
        shape=float(shape.min()),
    )


def _piece_quality(mesh: Any, cells: slice) -> tuple[float, float, float, float, float]:
    """Return the number of flat cells; if none, shortest and longest edge, aspect and shape."""
    corners = mesh.p[:, mesh.t[:, cells]]
    edges = [((corners[:, a] - corners[:, b]) ** 2).sum(axis=0) for a, b in _edges(mesh)]
    shortest, longest = np.sqrt(np.min(edges, axis=0)), np.sqrt(np.max(edges, axis=0))
    volume = np.abs(cell_volumes(mesh, cells))
    full = np.prod(np.ptp(corners, axis=1), axis=0)
    if len(mesh.t) == mesh.dim() + 1:
        full /= float(np.prod(range(1, mesh.dim() + 1)))
    flat = (shortest == 0) | (volume < 1e-15 * longest ** mesh.dim())
    if flat.any():
        return float(flat.sum()), 0.0, 0.0, 0.0, 0.0
    ratio = (longest / shortest).max(), (volume / full).min()
    return 0.0, shortest.min(), longest.max(), *ratio


def _edges(mesh: Any) -> NDArray[np.int64]:
    """Return local vertex pairs of the edges of a cell, shape (n_edges, 2)."""
    vertices = mesh.t.shape[0]
    if mesh.dim() == 3 and vertices == 8:
        return np.asarray(mesh.refdom.edges, int)
    if mesh.dim() == 2 and vertices == 4:
        return np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    return np.array([(i, j) for i in range(vertices) for j in range(i + 1, vertices)])
