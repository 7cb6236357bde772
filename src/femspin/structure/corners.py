"""Points of a plane mesh at which potentials are singular, and meshes graded towards them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..units import Array
from .entities import MeshTri1, find_facets, region_sides
from .interfaces import find_pairs, mesh_quality
from .model import Structure
from .refine import refine

__all__ = ["MOST_GRADED", "graded_to_points", "singular_points"]


# Unknowns of the next order beyond which error bars do without a graded mesh.
MOST_GRADED = 150_000
# A boundary that turns by less is a curve [rad].
_CORNER = 0.35


def singular_points(structure: Structure, conductors: Sequence[str]) -> Array:
    """Return where a boundary or interface of conductors ends, turns or changes, shape (2, n).

    There the conditions of two sides meet: ends of electrodes and interfaces, corners.

    Args:
        structure: A plane mesh.
        conductors: Regions that carry current.
    """
    mesh = structure.mesh
    sides = region_sides(mesh, structure.region_of_cell)
    inside = np.zeros(mesh.nelements + 1, bool)  # the number of a cell is -1 where there is none
    inside[structure.cells(*conductors)] = True
    carrying = inside[sides.cells].any(axis=0)
    first, second = (np.append(structure.region_of_cell, -1)[c].astype(int) for c in sides.cells)
    label = np.minimum(first, second) * 1000 + np.maximum(first, second)
    for k, facets in enumerate(structure.faces.values(), start=1):
        label = label + 10**6 * 2 ** min(k, 30) * np.isin(sides.numbers, facets)
    on_period = np.zeros(mesh.p.shape[1], bool)
    for row, _ in structure.periods:
        at = mesh.p[row]
        on_period |= np.minimum(at - at.min(), at.max() - at) < 1e-9 * np.ptp(at)
    carrying &= ~on_period[sides.corners].all(axis=0)
    corners, label = sides.corners[:, carrying], label[carrying]
    ends, labels = corners.ravel(), np.tile(label, 2)
    along = mesh.p[:, corners[::-1].ravel()] - mesh.p[:, ends]
    along = along / np.linalg.norm(along, axis=0)
    order = np.argsort(ends, kind="stable")
    vertices, start, count = np.unique(ends[order], return_index=True, return_counts=True)
    here, next_one = order[start], order[np.minimum(start + 1, len(order) - 1)]
    turn = (along[:, here] * along[:, next_one]).sum(axis=0)
    plain = (count == 2) & (labels[here] == labels[next_one]) & (turn < -np.cos(_CORNER))
    return np.asarray(mesh.p[:, vertices[~plain & ~on_period[vertices]]])


def graded_to_points(structure: Structure, points: Array, levels: int) -> Structure:
    """Return a mesh of triangles refined towards points, `levels` halvings of the cells there.

    Args:
        structure: A mesh of triangles or quadrilaterals, which are cut in two.
        points: Vertices of it, shape (2, n).
        levels: How often the cells around each point are refined.
    """
    found = structure if structure.mesh.t.shape[0] == 3 else _cut(structure)
    number = np.argmin(((found.mesh.p[:, :, None] - points[:, None]) ** 2).sum(axis=0), axis=0)
    for _ in range(levels):  # old vertices keep their numbers
        found = refine(found, np.flatnonzero(np.isin(found.mesh.t, number).any(axis=0)))
    return found


def _cut(structure: Structure) -> Structure:
    """Return the structure with every quadrilateral cut into two triangles."""
    old = structure.mesh
    cells = np.concatenate([old.t[[0, 1, 2]], old.t[[0, 2, 3]]], axis=1)
    mesh = MeshTri1(old.p, np.ascontiguousarray(cells))
    region_of_cell = np.tile(structure.region_of_cell, 2)
    region_sides(mesh, region_of_cell)
    pairs = [(face.first, face.second) for face in structure.interfaces.values()]
    faces = {
        name: np.sort(find_facets(mesh, structure.facet_corners(facets)))
        for name, facets in structure.faces.items()
    }
    return replace(
        structure,
        mesh=mesh,
        region_of_cell=region_of_cell,
        faces=faces,
        interfaces=find_pairs(mesh, structure.regions, region_of_cell, pairs),
        quality=mesh_quality(mesh),
    )
