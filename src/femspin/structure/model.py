"""The meshed device: cells by region, interfaces between regions, named outer faces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..units import AnyArray, Array
from .entities import facet_cells, facet_corners

__all__ = ["Interface", "MeshQuality", "Structure", "cell_volumes", "facet_measures", "pieces"]


_PIECE = 2**13  # cells at a time: their temporaries stay in the cache


@dataclass(frozen=True)
class Interface:
    """The facets shared by two regions; currents count positive from `second` into `first`.

    With ``HM|F`` and ``F|FI`` this is the direction FI -> F -> HM.

    Args:
        facets: Facet numbers, shape (n,).
        cells_first: The cell of `first` at each facet, shape (n,).
        cells_second: The cell of `second` at each facet, shape (n,).
        measures: Facet areas [nm^2] (3D), lengths [nm] (2D) or 1 (1D), shape (n,).
    """

    name: str
    first: str
    second: str
    facets: AnyArray
    cells_first: AnyArray
    cells_second: AnyArray
    measures: Array

    @property
    def area(self) -> float:
        """Total measure of the interface, in the unit of `measures`."""
        return float(self.measures.sum())


@dataclass(frozen=True)
class MeshQuality:
    """Numbers that tell whether a mesh can be trusted.

    Args:
        cells: Number of cells.
        vertices: Number of vertices.
        smallest: Shortest edge [nm].
        largest: Longest edge [nm].
        aspect: Largest ratio of longest to shortest edge within one cell.
        shape: Smallest volume over that of the box (or, for simplices, the right simplex) with
            the cell's own extents; 1 is perfect, near 0 a sliver.
    """

    cells: int
    vertices: int
    smallest: float
    largest: float
    aspect: float
    shape: float


@dataclass(frozen=True)
class Structure:
    """A mesh in nanometres with everything the solver asks of it.

    Args:
        mesh: The scikit-fem mesh; its rows are the physical directions `axes`.
        axes: Physical direction of each mesh coordinate: (2,), (0, 2) or (0, 1, 2).
        regions: Region names; `region_of_cell` indexes them.
        region_of_cell: Shape (n_cells,).
        interfaces: By name ``first|second``.
        faces: Outer facets by name (top, bottom, left, right, front, back, or mesh names).
        periods: Mesh coordinates that are periodic, with their periods [nm].
        quality: Summary of the mesh.
        notes: What was not taken over from the file of the mesh, as sentences.
        unusable: Why groups of facets of the file of the mesh are no faces, by name.
    """

    mesh: Any
    axes: tuple[int, ...]
    regions: tuple[str, ...]
    region_of_cell: AnyArray
    interfaces: Mapping[str, Interface]
    faces: Mapping[str, AnyArray]
    periods: tuple[tuple[int, float], ...]
    quality: MeshQuality
    notes: tuple[str, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Number of mesh coordinates."""
        return len(self.axes)

    @cached_property
    def kept_sides(self) -> dict[tuple[str, ...], Any]:
        """Areas, thicknesses and footprints that need a search of the mesh, kept where made."""
        return {}

    def cells(self, *names: str) -> AnyArray:
        """Return the cells of the named regions, ascending."""
        index = [self.regions.index(name) for name in names]
        return np.flatnonzero(np.isin(self.region_of_cell, index))

    def height(self, region: str) -> float:
        """Return the extent of a region along z without gaps [nm]: the thickness of a layer."""
        cells, z = self.cells(region), self.mesh.p[-1]
        low = high = z[self.mesh.t[0, cells]]
        for row in self.mesh.t[1:]:
            low, high = np.minimum(low, z[row[cells]]), np.maximum(high, z[row[cells]])
        order = np.argsort(low)
        reached = np.maximum.accumulate(high[order])
        gaps = np.maximum(low[order][1:] - reached[:-1], 0.0)
        return float(reached[-1] - low.min() - gaps.sum())

    def lateral_area(self, region: str) -> float:
        """Return volume over height of a region, in the unit of `Interface.measures`."""
        volume = np.abs(cell_volumes(self.mesh, self.cells(region))).sum()
        return float(volume / self.height(region))

    def facet_measures(self, facets: AnyArray) -> Array:
        """Return the measure of each facet, in the unit of `Interface.measures`."""
        return facet_measures(self.mesh, facets)

    def facet_corners(self, facets: AnyArray) -> AnyArray:
        """Return the vertices of facets, shape (n_corners, n)."""
        return facet_corners(self.mesh, facets)

    def facet_cells(self, facets: AnyArray) -> AnyArray:
        """Return the two cells beside facets, -1 for none, shape (2, n)."""
        return facet_cells(self.mesh, facets)


def pieces(count: int) -> Iterator[slice]:
    """Yield slices of bounded length that cover `count` cells."""
    return (slice(k, min(k + _PIECE, count)) for k in range(0, count, _PIECE))


def facet_measures(mesh: Any, facets: AnyArray) -> Array:
    """Return areas (3D) [nm^2], lengths (2D) [nm] or ones (1D) of facets, shape (n,)."""
    if mesh.dim() == 1:
        return np.ones(len(facets))
    corners = mesh.p[:, facet_corners(mesh, facets)]
    if mesh.dim() == 2:
        found: Array = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=0)
        return found
    if corners.shape[1] == 3:
        return 0.5 * _cross_norm(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # A plane quadrilateral has area |d1 x d2| / 2; of the three ways to pair its corners the
    # diagonals give the largest value, so the order in which they are listed does not matter.
    c = [corners[:, k] for k in range(4)]
    pairings = [(c[1] - c[0], c[3] - c[2]), (c[2] - c[0], c[3] - c[1]), (c[3] - c[0], c[2] - c[1])]
    areas: Array = 0.5 * np.max([_cross_norm(u, v) for u, v in pairings], axis=0)
    return areas


def _cross_norm(u: Array, v: Array) -> Array:
    found: Array = np.linalg.norm(np.cross(u, v, axis=0), axis=0)
    return found


def cell_volumes(mesh: Any, cells: AnyArray | slice = slice(None)) -> Array:
    """Return signed volumes of all or some cells [nm^dim], exact also for skew quads and hexes."""
    corners = mesh.t[:, cells]
    volumes = np.empty(corners.shape[1])
    for piece in pieces(len(volumes)):
        volumes[piece] = _volumes(mesh.p[:, corners[:, piece]])
    return volumes


def _volumes(p: Array) -> Array:
    """Return signed volumes of cells from their vertices, (dim, n_corners, m)."""
    if len(p) == 1:
        return np.asarray(p[0, 1] - p[0, 0])
    if len(p) == 2:
        if p.shape[1] == 3:
            u, v = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
        else:  # half the product of the diagonals
            u, v = p[:, 2] - p[:, 0], p[:, 3] - p[:, 1]
        return np.asarray((u[0] * v[1] - u[1] * v[0]) / 2.0)
    if p.shape[1] == 4:
        return _triple(*(p[:, k] - p[:, 0] for k in (1, 2, 3))) / 6.0
    # The Jacobian of a trilinear map is a polynomial of degree 2 in each coordinate, for which
    # two Gauss points along each are exact.
    total = np.zeros(p.shape[2])
    for slopes in _HEX_SLOPES:
        total += _triple(*np.einsum("kv,dvm->kdm", slopes, p))
    return total / 8.0


def _triple(a: Array, b: Array, c: Array) -> Array:
    """Return a . (b x c), shape (m,)."""
    return np.asarray(
        a[0] * (b[1] * c[2] - b[2] * c[1])
        + a[1] * (b[2] * c[0] - b[0] * c[2])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )


# Corners of the unit cube that scikit-fem's hex vertices are, along the directions of 1, 2, 3.
_HEX_CORNERS = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]]
)


def _hex_slopes() -> Array:
    """Return the derivatives of the trilinear functions at the 8 Gauss points, (8, 3, 8)."""
    points = 0.5 + (_HEX_CORNERS - 0.5) / np.sqrt(3)
    found = np.empty((8, 3, 8))
    for q, x in enumerate(points):
        factor = np.where(_HEX_CORNERS == 1, x, 1 - x)
        for k in range(3):
            rest = np.prod(np.delete(factor, k, axis=1), axis=1)
            found[q, k] = np.where(_HEX_CORNERS[:, k] == 1, 1.0, -1.0) * rest
    return found


_HEX_SLOPES = _hex_slopes()
