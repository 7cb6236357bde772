"""Means over the width of a region against height: what `profiles.png` shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..interface.split import cell_integrals, flux_density
from ..structure.sides import scattered_points
from ..transport.elements.lagrange import lagrange_element
from ..transport.elements.moments import basis_table
from ..transport.elements.space import Space
from ..units import SPIN_CURRENT, AnyArray, Array

if TYPE_CHECKING:
    from ..device.model import Device, Transport

__all__ = ["flux_profile", "potential_profile"]


# Slices of a region whose cells do not lie in layers, and points at which they are sampled.
_SLICES = 40
_SAMPLES = 200_000


def potential_profile(device: Device, transport: Transport, region: str) -> tuple[Array, Array]:
    """Return heights (n,) [nm] and the mean spin potential there (n, 3) [meV].

    Where cells lie in layers the mean is that over the plane between two of them, of linear
    functions between the vertices; elsewhere it is that over thin slices.
    """
    space, mu = device.space, transport.state.mu[:, 1:]
    cells = space.in_region(region)
    if space.dimension == 1:
        dofs = np.unique(space.dofs[cells])
        dofs = dofs[np.argsort(space.locations[-1, dofs])]
        return space.locations[-1, dofs], mu[dofs]
    edges = _layers(space, region)
    if edges is None:
        s = _samples(space, region)
        table, dofs = basis_table(space.element, s.points)[..., -1], space.dofs[cells[s.cell]]
        values = np.stack([np.einsum("qi,qi->q", table, mu[dofs, a]) for a in range(3)], axis=1)
        return 0.5 * (s.edges[1:] + s.edges[:-1]), _means(s.edges, s.z, s.weight, values)
    height, weight = _sides(space, region)
    dofs = space.dofs[cells][:, : len(height)].T
    middles = 0.5 * (edges[1:] + edges[:-1])
    planes = np.r_[-np.inf, middles, np.inf]
    return edges, _means(planes, height.ravel(), weight.ravel(), mu[dofs.ravel()])


def flux_profile(device: Device, transport: Transport, region: str) -> tuple[Array, Array]:
    """Return the edges of layers or slices (n + 1,) [nm] and mean J_z^a in each (n, 3) [A/m^2]."""
    space = device.space
    c = transport.state.coefficients[region]
    integrals = cell_integrals(space, c, transport.state.mu, region)
    flux = flux_density(c, integrals)[:, 2, 1:] * SPIN_CURRENT
    edges = _layers(space, region)
    if edges is None:
        s = _samples(space, region)
        return s.edges, _means(s.edges, s.z, s.weight, flux[s.cell])
    height = _corners(space, region).mean(axis=0)
    return edges, _means(edges, height, integrals.measure, flux)


def _corners(space: Space, region: str) -> Array:
    """Return the heights of the vertices of every cell [nm], shape (n_corners, n)."""
    mesh = space.structure.mesh
    found: Array = np.round(mesh.p[-1, mesh.t[:, space.cells[space.in_region(region)]]], 9)
    return found


def _sides(space: Space, region: str) -> tuple[Array, Array]:
    """Return the heights of the vertices of cells in layers, and weights in their planes.

    A cell with a side in a plane gives each of its vertices the same share of its area, up to a
    factor that all cells have.
    """
    corner = _corners(space, region)
    low, high = corner.min(axis=0), corner.max(axis=0)
    d = space.dimension
    many = d if len(corner) == d + 1 else 2 ** (d - 1)
    whole = [(corner == z) & ((corner == z).sum(axis=0) == many) for z in (low, high)]
    area = space.measures[space.in_region(region)] / (high - low)
    return corner, area * (whole[0] | whole[1])


def _layers(space: Space, region: str) -> Array | None:
    """Return the heights between layers of cells, None where cells do not lie in layers."""
    corner = _corners(space, region)
    edges = np.unique(corner)
    low, high = (np.searchsorted(edges, x) for x in (corner.min(axis=0), corner.max(axis=0)))
    return edges if np.all(high == low + 1) else None


@dataclass(frozen=True)
class _Samples:
    """Points scattered evenly over a region.

    Args:
        edges: Of thin slices [nm].
        z: Heights [nm], shape (n,).
        weight: Volumes [nm^dim], shape (n,).
        cell: Positions among the cells of the region, shape (n,).
        points: In the reference cell, shape (dim, n).
    """

    edges: Array
    z: Array
    weight: Array
    cell: AnyArray
    points: Array


def _samples(space: Space, region: str) -> _Samples:
    measures, corner = space.measures[space.in_region(region)], _corners(space, region)
    count = np.ceil(_SAMPLES * measures / measures.sum()).astype(int)
    cell = np.repeat(np.arange(len(count)), count)
    points = scattered_points(space.structure.mesh, len(cell))
    table = basis_table(lagrange_element(space.structure.mesh, 1), points)[..., -1]
    z = np.einsum("qi,iq->q", table, corner[:, cell])
    edges = np.linspace(corner.min(), corner.max(), _SLICES + 1)
    return _Samples(edges, z, (measures / count)[cell], cell, points)


def _means(edges: Array, z: Array, weight: Array, values: Array) -> Array:
    """Return weighted means between edges, NaN where there is nothing, shape (n, k)."""
    n = len(edges) - 1
    index = np.clip(np.searchsorted(edges, z, side="right") - 1, 0, n - 1)
    total = np.bincount(index, weight, minlength=n)
    sums = [np.bincount(index, weight * column, minlength=n) for column in values.T]
    with np.errstate(invalid="ignore"):
        return np.stack(sums, axis=1) / total[:, None]
