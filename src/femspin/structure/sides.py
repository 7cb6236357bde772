"""Where a magnet and a metal lie to each other: normals, areas of sides, footprints.

On curved interfaces there is no one direction from the metal to the magnet; what a current j
drives is then given by the mean of j x n with the normal n of the nearest facet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..units import AnyArray, Array
from .interfaces import outer_facets
from .model import Structure, cell_volumes

__all__ = ["Facets", "Footprint", "footprint", "region_thickness", "scattered_points", "side_area"]


_FLAT = 1e-6  # deviation of normals on a plane interface
_SMOOTH = 0.7  # cosine between the normals of neighbours on one smooth part of a surface
_NO_DIRECTION = 1e-3  # length of a mean of unit vectors that point everywhere
_SAMPLES = 64  # points in a cell that the edge of a footprint crosses
_INSIDE = 0.999  # corners are tested this far from the middle of their cell
_REACH = 1.5  # tangential distance from the nearest facet over the radius of the facet


@dataclass(frozen=True)
class Facets:
    """Some facets with the unit normals towards one of their sides.

    Args:
        numbers: Facets of the mesh, shape (n,).
        normals: Along the directions x, y, z, shape (n, 3).
        measures: Areas [nm^2], lengths [nm] or ones, shape (n,).
    """

    numbers: AnyArray
    normals: Array
    measures: Array

    @classmethod
    def of(cls, structure: Structure, numbers: AnyArray, away_from: AnyArray) -> Facets:
        """Return facets whose normals point away from the given mesh cells, one per facet."""
        mesh, axes = structure.mesh, list(structure.axes)
        corners = mesh.p[:, structure.facet_corners(numbers)]
        middle = corners.mean(axis=1)
        raw = _raw_normals(corners)
        inwards = mesh.p[:, mesh.t[:, away_from]].mean(axis=1) - middle
        sign = np.where(np.einsum("dn,dn->n", raw, inwards) > 0, -1.0, 1.0)
        normals = np.zeros((len(numbers), 3))
        normals[:, axes] = (sign * raw / np.linalg.norm(raw, axis=0)).T
        return cls(numbers, normals, structure.facet_measures(numbers))

    @classmethod
    def joined(cls, parts: Sequence[Facets]) -> Facets:
        """Return all facets of several sets."""
        return cls(
            *(np.concatenate([getattr(p, key) for p in parts]) for key in ("numbers", "normals", "measures"))
        )

    @property
    def turned(self) -> Facets:
        """The same with the opposite normals."""
        return replace(self, normals=-self.normals)

    @property
    def direction(self) -> Array | None:
        """The unit vector along the mean normal by area, (3,); None where normals cancel."""
        return _unit(self.measures @ self.normals / self.measures.sum())

    @property
    def flat(self) -> bool:
        """Whether all normals are the same."""
        return bool(np.ptp(self.normals, axis=0).max() < _FLAT)


def _unit(mean: Array) -> Array | None:
    size = float(np.linalg.norm(mean))
    return mean / size if size > _NO_DIRECTION else None


def _raw_normals(corners: Array) -> Array:
    """Return normals of any length and sense, (dim, n), of facets (dim, n_corners, n)."""
    if len(corners) == 1:
        return np.ones((1, corners.shape[2]))
    u = corners[:, 1] - corners[:, 0]
    if len(corners) == 2:
        return np.stack([-u[1], u[0]])
    if corners.shape[1] == 3:
        return np.asarray(np.cross(u, corners[:, 2] - corners[:, 0], axis=0))
    # Whatever the order of the four corners, the diagonals have the largest product.
    c = [corners[:, k] for k in range(4)]
    pairs = ((c[1] - c[0], c[3] - c[2]), (c[2] - c[0], c[3] - c[1]), (c[3] - c[0], c[2] - c[1]))
    all_three = np.stack([np.cross(a, b, axis=0) for a, b in pairs])
    best = np.linalg.norm(all_three, axis=1).argmax(axis=0)
    return np.asarray(np.take_along_axis(all_three, best[None, None], axis=0)[0])


def side_area(structure: Structure, facets: Facets) -> float:
    """Return the area of the larger side of a body that some facets belong to.

    A film between two metals has the area of one of its faces, not of both: connected facets are
    one side, and others belong to it if they look the same way.
    """
    count, part = _connected(structure, facets.numbers)
    areas = np.bincount(part, facets.measures, minlength=count)
    sums = np.stack(
        [np.bincount(part, facets.measures * v, minlength=count) for v in facets.normals.T], axis=1
    )
    means = [_unit(v) for v in sums / areas[:, None]]
    largest = int(areas.argmax())
    ahead = means[largest]
    if ahead is None:  # closed around the body
        return float(areas[largest])
    along = np.array([0.0 if v is None else float(v @ ahead) for v in means])
    return float(max(areas[along > 0].sum(), areas[along < 0].sum()))


def _connected(structure: Structure, facets: AnyArray) -> tuple[int, AnyArray]:
    """Return the number of connected sets of facets, and that of each facet."""
    corners = structure.facet_corners(facets)
    n = corners.shape[1]
    rows = np.tile(np.arange(n), len(corners))
    shared = sp.csr_array((np.ones(corners.size), (rows, corners.ravel())), (n, structure.mesh.p.shape[1]))
    count, part = connected_components(shared @ shared.T, directed=False)
    return int(count), np.asarray(part)


def region_thickness(structure: Structure, region: str) -> float:
    """Return the thickness of a region [nm]: along z of layers, else volume over area.

    The area of a region that is no upright layer is the mean of the two largest smooth parts of
    its surface: what a curved or tilted film has above and below.
    """
    key = ("thickness", region)
    if key not in structure.kept_sides:
        structure.kept_sides[key] = _thickness(structure, region)
    return float(structure.kept_sides[key])


def _thickness(structure: Structure, region: str) -> float:
    cells = structure.cells(region)
    if structure.dimension == 1:
        return structure.height(region)
    numbers = outer_facets(structure.mesh, cells)
    beside = structure.facet_cells(numbers)
    inside = np.isin(beside[0], cells)
    surface = Facets.of(structure, numbers, np.where(inside, beside[0], beside[1]))
    steep = np.abs(surface.normals[:, 2])
    if np.all((steep < _FLAT) | (steep > 1 - _FLAT)):
        return structure.height(region)
    areas = np.sort(_smooth_areas(structure, surface))
    volume = np.abs(cell_volumes(structure.mesh, cells)).sum()
    return float(volume / areas[-2:].mean())


def _smooth_areas(structure: Structure, surface: Facets) -> Array:
    """Return the areas of the parts of a surface that have no edges, shape (n_parts,)."""
    edges, owner = _facet_edges(structure, surface.numbers)
    _, edge = np.unique(np.sort(edges, axis=0), axis=1, return_inverse=True)
    order = np.argsort(edge.ravel(), kind="stable")
    same = np.diff(edge.ravel()[order]) == 0
    a, b = owner[order[:-1][same]], owner[order[1:][same]]
    level = np.einsum("nd,nd->n", surface.normals[a], surface.normals[b]) > _SMOOTH
    n = len(surface.numbers)
    joined = sp.coo_array((np.ones(level.sum()), (a[level], b[level])), shape=(n, n))
    count, part = connected_components(joined.tocsr(), directed=False)
    return np.asarray(np.bincount(part, surface.measures, minlength=count), float)


@dataclass(frozen=True)
class Footprint:
    """The part of a metal that lies over or under a magnet.

    Args:
        weights: Share of each cell of the metal, in the order of `Structure.cells`, (n,).
        normals: Unit vectors from the metal to the magnet there, shape (n, 3).
        direction: Unit vector along their mean; None where they cancel, shape (3,).
    """

    weights: Array
    normals: Array
    direction: Array | None


def footprint(
    structure: Structure, metal: str, border: Facets, below: Facets | None = None, whole: bool = False
) -> Footprint:
    """Return the part of a metal over or under a magnet.

    It is the projection of the magnet's interface along the normal of the metal's interface; if
    the two do not overlap, or on curved interfaces, that of the metal's interface.

    Args:
        structure: The mesh.
        metal: The region in which the current flows.
        border: Facets at which the metal ends towards the magnet, normals towards the magnet.
        below: Facets of the magnet towards the metal, where other regions lie between the two.
        whole: Whether all of the metal lies over or under the magnet anyway.
    """
    cells = structure.cells(metal)
    if whole or structure.dimension == 1:
        return _whole(border, len(cells))
    if not border.flat:
        return _curved(structure, cells, border)
    normal = border.normals[0]
    for facets in (border,) if below is None else (below, border):
        weights = _under(structure, cells, facets, border, normal)
        if weights.any():
            return Footprint(weights, np.broadcast_to(normal, (len(cells), 3)), normal)
    return _whole(border, len(cells))


def _whole(border: Facets, n: int) -> Footprint:
    mean = border.measures @ border.normals / border.measures.sum()
    return Footprint(np.ones(n), np.broadcast_to(mean, (n, 3)), border.direction)


def _under(structure: Structure, cells: AnyArray, facets: Facets, border: Facets, normal: Array) -> Array:
    """Return the share of every cell in the shadow that facets throw against a normal, (n,)."""
    mesh, axis = structure.mesh, normal[list(structure.axes)]
    count, part = _connected(structure, facets.numbers)
    outlines = [_outline(structure, facets.numbers[part == k], axis) for k in range(count)]

    def inside_one(lateral: Array) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.any([_within(outline, lateral) for outline in outlines], axis=0)
        return found

    corners = mesh.p[:, mesh.t[:, cells]]
    middle = corners.mean(axis=1)
    depth = axis @ mesh.p[:, structure.facet_corners(border.numbers)].reshape(len(axis), -1)
    points = middle[:, None] + _INSIDE * (corners - middle[:, None])
    lateral = _across(axis) @ np.concatenate([points, middle[:, None]], axis=1).reshape(len(axis), -1)
    inside = inside_one(lateral).reshape(-1, len(cells))
    weights = inside.all(axis=0).astype(float)
    cut = np.flatnonzero(inside.any(axis=0) & ~inside.all(axis=0))
    if len(cut):
        at = mesh._mapping().F(scattered_points(mesh, _SAMPLES), cells[cut])
        found = inside_one(_across(axis) @ at.reshape(len(axis), -1))
        weights[cut] = found.reshape(len(cut), -1).mean(axis=1)
    value: Array = weights * (axis @ middle < depth.max())
    return value


def _across(axis: Array) -> Array:
    """Return unit vectors across an axis, shape (dim - 1, dim)."""
    if len(axis) == 2:
        return np.array([[-axis[1], axis[0]]])
    u = np.eye(3)[np.abs(axis).argmin()]
    u = u - axis * (axis @ u)
    u /= np.linalg.norm(u)
    return np.stack([u, np.cross(axis, u)])


def _outline(structure: Structure, facets: AnyArray, axis: Array) -> Array:
    """Return the edge of a set of facets, projected along an axis.

    Shape (1, n) points on a line in 2D, (2, 2, n) = (end, direction, edge) in 3D.
    """
    p, corners = structure.mesh.p, structure.facet_corners(facets)
    if len(axis) == 2:
        ends, count = np.unique(corners, return_counts=True)
        return np.asarray(_across(axis) @ p[:, ends[count % 2 == 1]])
    pairs, _ = _facet_edges(structure, facets)
    pairs, count = np.unique(np.sort(pairs, axis=0), axis=1, return_counts=True)
    pairs = pairs[:, count % 2 == 1]
    return np.stack([_across(axis) @ p[:, end] for end in pairs])


def _facet_edges(structure: Structure, facets: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return the ends of the edges of facets (2 or 1, n), and the facet of each, (n,)."""
    corners = structure.facet_corners(facets)
    if len(corners) == 2:
        edges = [corners[:1], corners[1:]]
    elif len(corners) == 3:
        edges = [corners[list(k)] for k in ((0, 1), (1, 2), (2, 0))]
    else:
        edges = _quad_edges(structure.mesh.p, corners)
    return np.concatenate(edges, axis=1), np.tile(np.arange(len(facets)), len(edges))


def _quad_edges(p: Array, corners: AnyArray) -> list[AnyArray]:
    """Return the four edges of quadrilaterals whose corners stand in any order."""
    pairings = np.array([[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]])  # diagonals (a, b), (c, d)
    sizes = [
        np.linalg.norm(
            np.cross(p[:, corners[b]] - p[:, corners[a]], p[:, corners[d]] - p[:, corners[c]], axis=0), axis=0
        )
        for a, b, c, d in pairings
    ]
    chosen = pairings[np.argmax(sizes, axis=0)].T  # (4, n)
    a, b, c, d = np.take_along_axis(corners, chosen, axis=0)
    return [np.stack(pair) for pair in ((a, c), (c, b), (b, d), (d, a))]


def _within(outline: Array, points: Array) -> NDArray[np.bool_]:
    """Return which points (dim - 1, n) lie inside an outline: an odd number of crossings."""
    if outline.ndim == 2:
        ends = np.sort(outline[0])
        found: NDArray[np.bool_] = np.searchsorted(ends, points[0]) % 2 == 1
        return found
    start, end = outline
    rise = end[1] - start[1]
    slope = (end[0] - start[0]) / np.where(rise == 0, 1.0, rise)
    odd = np.zeros(points.shape[1], bool)
    step = max(1, 2**22 // max(1, start.shape[1]))
    for k in range(0, points.shape[1], step):
        x, y = points[:, k : k + step, None]
        beside = (start[1] > y) != (end[1] > y)
        odd[k : k + step] = (beside & (x < start[0] + (y - start[1]) * slope)).sum(axis=1) % 2 == 1
    return odd


def _curved(structure: Structure, cells: AnyArray, border: Facets) -> Footprint:
    """Return the cells whose foot on the nearest facet lies within it, on the metal's side."""
    mesh, axes = structure.mesh, list(structure.axes)
    corners = mesh.p[:, structure.facet_corners(border.numbers)]
    centre = corners.mean(axis=1)
    radius = np.linalg.norm(corners - centre[:, None], axis=0).max(axis=0)
    middle = mesh.p[:, mesh.t[:, cells]].mean(axis=1)
    from scipy.spatial import cKDTree

    nearest = cKDTree(centre.T).query(middle.T)[1]
    apart, normals = (middle - centre[:, nearest]).T, border.normals[nearest]
    along = np.einsum("nd,nd->n", apart, normals[:, axes])
    sideways = np.linalg.norm(apart - along[:, None] * normals[:, axes], axis=1)
    weights = ((along < 0) & (sideways < _REACH * radius[nearest])).astype(float)
    if not weights.any():
        return _whole(border, len(cells))
    return Footprint(weights, normals, border.direction)


def scattered_points(mesh: Any, count: int) -> Array:
    """Return evenly scattered points of the reference cell, shape (dim, count)."""
    d = mesh.dim()
    root = 2.0  # of x^(d + 1) = x + 1: fractions of its powers scatter evenly
    for _ in range(60):
        root = (1 + root) ** (1 / (d + 1))
    steps = root ** -np.arange(1.0, d + 1)
    cube = (0.5 + steps[:, None] * np.arange(1, count + 1)) % 1.0
    if mesh.t.shape[0] != d + 1:
        return np.asarray(cube)
    return np.diff(np.sort(cube, axis=0), axis=0, prepend=0.0)
