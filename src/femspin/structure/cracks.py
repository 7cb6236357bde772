"""Parts of a mesh that touch without sharing nodes, which no current crosses.

Cells hang together where they share a facet with all its nodes.  Where two sides of an interface
are meshed apart, or triangles of its two sides do not match, every facet there has one cell only
and counts as an insulating surface inside the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MeshError
from ..units import AnyArray, Array
from .entities import Sides
from .overlap import facet_normals

__all__ = ["require_no_cracks"]

Mask = NDArray[np.bool_]

# How far apart facets that touch may be: of the larger one, of the device (digits of a file), and
# of the height of the cells, below which a gap is never.
_APART, _DIGITS, _OF_CELLS = 1e-5, 1e-9, 0.1
# Of the smaller extent of two facets along any direction, what they must share to overlap.
_SHARED = 1e-3
# Outward normals of facets that touch are opposite.
_OPPOSITE = -0.99
# Pairs of facets at a time.
_PAIRS = 2**19


def require_no_cracks(mesh: Any, sides: Sides, path: str) -> None:
    """Refuse a mesh with facets that lie on others without being the same.

    Args:
        mesh: scikit-fem mesh of triangles, quadrilaterals, tetrahedra or hexahedra.
        sides: The sides of its regions, outer ones included.
        path: The file, for the message.

    Raises:
        MeshError: With the number of facets and the place of the first.
    """
    outer = (sides.cells < 0).any(axis=0)
    corners, cell = sides.corners[:, outer], sides.cells[:, outer].max(axis=0)
    p = mesh.p[:, corners]
    middle, normal = facet_normals(p)
    normal = normal / np.linalg.norm(normal, axis=0)
    height = (normal * (mesh.p[:, mesh.t[:, cell]].mean(axis=1) - middle)).sum(axis=0)
    normal, height = -np.sign(height) * normal, np.abs(height)
    radius = np.sqrt(((p - middle[:, None]) ** 2).sum(axis=0).max(axis=0))
    touching = np.zeros(p.shape[2], bool)
    for large, small in _near(middle, radius):
        facing = (normal[:, large] * normal[:, small]).sum(axis=0) < _OPPOSITE
        large, small = large[facing], small[facing]
        gap = normal[:, large][:, None] * (p[:, :, small] - middle[:, large][:, None])
        apart = np.abs(gap.sum(axis=0)).max(axis=0)
        cells = _OF_CELLS * np.minimum(height[large], height[small])
        close = apart <= np.minimum(_APART * radius[large] + _DIGITS * np.ptp(mesh.p), cells)
        large, small = large[close], small[close]
        meet = _overlap(p[:, :, large], p[:, :, small], normal[:, large])
        touching[large[meet]] = touching[small[meet]] = True
    if touching.any():
        first = middle[:, np.flatnonzero(touching)[0]]
        raise MeshError(
            "mesh.file",
            f"{int(touching.sum())} facets of {path!r} lie on others without sharing"
            f" their nodes, the first at ({', '.join(f'{x:.4g}' for x in first)}) nm; no current"
            " would cross there: mesh both sides together, so that nodes and facets match (gmsh:"
            " fragment the geometry; build layers by one extrusion, or recombine all of them)",
        )


def _near(middle: Array, radius: Array) -> Iterator[tuple[AnyArray, AnyArray]]:
    """Yield pairs of facets, a larger and a smaller one, whose circumscribed balls may meet.

    Args:
        middle: Of the facets, shape (dim, n).
        radius: Of their circumscribed balls, shape (n,).
    """
    if not len(radius):
        return
    from scipy.spatial import cKDTree

    tree, reach = cKDTree(middle.T), 2 * radius
    count = tree.query_ball_point(middle.T, reach, return_length=True)
    start = 0
    while start < len(count):
        total = np.cumsum(count[start:])
        end = start + max(1, int(np.searchsorted(total, _PAIRS)))
        found = tree.query_ball_point(middle[:, start:end].T, reach[start:end])
        large = np.repeat(np.arange(start, end), count[start:end])
        small = np.concatenate(found).astype(int)
        first = (radius[small] < radius[large]) | ((radius[small] == radius[large]) & (small < large))
        yield large[first], small[first]
        start = end


def _overlap(one: Array, two: Array, normal: Array) -> Mask:
    """Return which pairs of convex facets in one plane share more than edges, shape (n,).

    Two convex polygons are apart if they are so along the normal of one of their edges; lines
    between other corners do no harm.

    Args:
        one: Corners of the first of each pair, shape (dim, corners, n).
        two: Corners of the second.
        normal: Of the plane, shape (dim, n).
    """
    shared = np.ones(one.shape[2], bool)
    for p in (one, two):
        for i, j in combinations(range(p.shape[1]), 2):
            line = p[:, j] - p[:, i]
            along = line if len(line) == 2 else np.cross(normal, line, axis=0)
            a, b = ((along[:, None] * q).sum(axis=0) for q in (one, two))
            both = np.minimum(a.max(axis=0), b.max(axis=0)) - np.maximum(a.min(axis=0), b.min(axis=0))
            shared &= both > _SHARED * np.minimum(np.ptp(a, axis=0), np.ptp(b, axis=0))
    return shared
