r"""Edges of a mesh in space at which potentials are singular, and meshes graded towards them.

Around an edge at which conductors fill the angle :math:`\Omega`, the potentials grow like
:math:`r^\lambda`: :math:`\lambda = \pi / \Omega` between two insulating sides, or two that hold
the potential, and :math:`\pi / 2 \Omega` between one of each (P. Grisvard, Elliptic Problems in
Nonsmooth Domains, Pitman (1985)).  With :math:`\lambda < 1` currents diverge there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..units import AnyArray, Array
from .entities import Sides, region_sides
from .model import Structure
from .refine import refine

__all__ = ["graded_to_edges", "singular_edges"]

Mask = NDArray[np.bool_]

_FACTOR = 2**32  # more than there are vertices
# Exponents from here on count as smooth: flat faces of few facets turn a little.
_SMOOTH = 0.9
# Three or more metals around one edge: as low as a contact that ends on a flat face.
_SEVERAL = 0.5


def singular_edges(
    structure: Structure, conductors: Sequence[str], held: Sequence[str], contrast: float = 1.0
) -> tuple[AnyArray, Array]:
    """Return the edges with singular potentials: their ends (2, n), and exponents (n,).

    With one metal the exponent is that of the theory; where metals meet it is a lower bound.

    Args:
        structure: A mesh of tetrahedra or hexahedra.
        conductors: Regions that carry current.
        held: Names of the faces or interfaces that hold a potential.
        contrast: Largest over smallest conductivity of the metals.
    """
    mesh = structure.mesh
    sides = region_sides(mesh, structure.region_of_cell)
    inside = np.zeros(mesh.nelements + 1, bool)  # the number of a cell is -1 where there is none
    inside[structure.cells(*conductors)] = True
    inside[-1] = False
    near = inside[sides.cells]
    carrying = near.any(axis=0) & ~_on_periods(structure, sides)
    corners, outer = sides.corners[:, carrying], ~near[:, carrying].all(axis=0)
    fixed = np.isin(sides.numbers[carrying], _facets(structure, held))
    cells = np.flatnonzero(inside[:-1])
    cells = cells[np.isin(mesh.t[:, cells], np.unique(corners)).sum(axis=0) >= 2]
    pairs = list(combinations(range(len(corners)), 2))
    key = np.concatenate([_keys(*corners[list(pair)]) for pair in pairs])
    side = np.tile(np.arange(corners.shape[1]), len(pairs))
    if len(corners) > 3:  # no diagonals of quadrilaterals
        ends = np.array(mesh.refdom.edges).T
        real = np.isin(key, _keys(*mesh.t[ends][:, :, cells]))
        key, side = key[real], side[real]
    found, at = np.unique(key, return_inverse=True)

    def any_side(chosen: Mask) -> Mask:
        return np.asarray(np.bincount(at, chosen[side], len(found)) > 0)

    angles = _angles(structure, cells, found)
    exponent = _exponents(angles, any_side(fixed), any_side(outer & ~fixed), contrast)
    chosen = exponent < _SMOOTH
    return np.stack(np.divmod(found[chosen], _FACTOR)), exponent[chosen]


def graded_to_edges(
    structure: Structure, conductors: Sequence[str], held: Sequence[str], levels: int
) -> Structure:
    """Return a mesh of tetrahedra refined towards its singular edges.

    Args:
        structure: A mesh of tetrahedra.
        conductors: Regions that carry current.
        held: Names of the faces or interfaces that hold a potential.
        levels: How often the cells around each edge are refined.
    """
    for _ in range(levels):
        ends, _ = singular_edges(structure, conductors, held)
        touched = np.isin(structure.mesh.t, np.unique(ends)).any(axis=0)
        structure = refine(structure, np.flatnonzero(touched))
    return structure


def _facets(structure: Structure, names: Sequence[str]) -> AnyArray:
    """Return the facets of named faces and interfaces, one after the other."""
    own = [structure.faces[n] if n in structure.faces else structure.interfaces[n].facets for n in names]
    return np.concatenate([np.zeros(0, int), *own])


def _on_periods(structure: Structure, sides: Sides) -> Mask:
    """Return which sides of regions lie on a periodic side of the device, where nothing ends."""
    on = np.zeros(len(sides.numbers), bool)
    for row, _ in structure.periods:
        at = structure.mesh.p[row]
        close = np.minimum(at - at.min(), at.max() - at) < 1e-9 * np.ptp(at)
        on |= close[sides.corners].all(axis=0)
    return on


def _keys(first: AnyArray, second: AnyArray) -> AnyArray:
    """Return one number for each edge, from its ends."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    return low * _FACTOR + high


def _angles(structure: Structure, cells: AnyArray, edges: AnyArray) -> Array:
    """Return the angle that each region's cells fill around edges, shape (n_edges, n_regions)."""
    mesh = structure.mesh
    angles = np.zeros((len(edges), int(structure.region_of_cell.max()) + 1))
    if not len(edges):
        return angles
    table = [list(pair) for pair in mesh.refdom.edges]
    for pair in table:
        others = [sum(p) - pair[0] for p in table if pair[0] in p and p != pair]
        key = _keys(*mesh.t[pair][:, cells])
        place = np.minimum(np.searchsorted(edges, key), len(edges) - 1)
        hit = edges[place] == key
        start, end, left, right = (mesh.p[:, mesh.t[k, cells[hit]]] for k in (*pair, *others))
        angle = _between(end - start, left - start, right - start)
        np.add.at(angles, (place[hit], structure.region_of_cell[cells[hit]]), angle)
    return angles


def _between(axis: Array, left: Array, right: Array) -> Array:
    """Return the angle between two half planes that share an edge, shape (n,)."""
    axis = axis / np.linalg.norm(axis, axis=0)
    left, right = (v - axis * (axis * v).sum(axis=0) for v in (left, right))
    sine = np.linalg.norm(np.cross(left, right, axis=0), axis=0)
    return np.asarray(np.arctan2(sine, (left * right).sum(axis=0)))


def _exponents(angles: Array, held: Mask, free: Mask, contrast: float) -> Array:
    """Return the smallest exponent of the potentials at edges, or a bound below it.

    Two metals in the angles a and b between sides of one kind have
    sigma_a tan(lambda a) + sigma_b tan(lambda b) = 0 (or with cotangents), which needs one of
    lambda a, lambda b beyond pi/2; around an edge inside a metal the same holds of half the
    angles, by symmetry.  Between sides of different kind tan(lambda a) tan(lambda b) is the ratio
    of the conductivities, no smaller than one over their contrast.

    Args:
        angles: Of each region, shape (n_edges, n_regions).
        held: Edges with a side that holds the potential.
        free: Edges with a side that holds none.
        contrast: Largest over smallest conductivity of the metals.
    """
    total, largest = angles.sum(axis=1), angles.max(axis=1)
    count = (angles > 0).sum(axis=1)
    # The sectors, or their halves where conductors are all around and nothing ends.
    sector = np.where(held | free, largest, 0.5 * largest)
    exponent = np.where(count == 2, 0.5 * np.pi / np.maximum(sector, 1e-9), _SEVERAL)
    exponent = np.where(count <= 1, np.where(held | free, np.pi / np.maximum(total, 1e-9), np.inf), exponent)
    mixed = 0.5 * np.pi / np.maximum(total, 1e-9)
    joint = np.arctan(contrast**-0.5) / np.maximum(largest, 1e-9)
    mixed = np.where(count > 1, np.minimum(mixed, joint), mixed)
    return np.where(held & free, mixed, exponent)
