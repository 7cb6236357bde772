r"""Demagnetization of any shape of tetrahedra: finite elements inside, boundary elements outside.

Fredkin and Koehler, IEEE Trans. Magn. 26, 415 (1990): the scalar potential is u = u_1 + u_2,

.. math:: \Delta u_1 = \nabla\cdot m,\quad \partial_\nu u_1 = m\cdot\nu, \qquad
    \Delta u_2 = 0,\quad u_2(x) = \oint u_1\,\partial_{\nu'}\frac{1}{4\pi|x-x'|}\,dS'

with u_2 on the boundary as its limit from inside.  Nothing outside the magnet is meshed and the
open boundary is exact.  The boundary integrals over linear triangles are analytic (Lindholm,
IEEE Trans. Magn. 20, 2025 (1984)); their matrix is dense, which suits up to about 5000 boundary
nodes (200 MB).  Collocation leaves the operator slightly unsymmetric; with `symmetric` the
field is that of the symmetrized operator, exactly minus the derivative of the energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from ..errors import CaseError
from ..structure.interfaces import outer_facets
from ..units import Array, Indices
from .energy import Quadratic
from .magnet import Ferromagnet, rate
from .space import TextureSpace

__all__ = ["BoundaryDemagnetization", "boundary_demagnetization", "boundary_matrix", "triangle_weights"]


_MOST_BOUNDARY_NODES = 12_000
_CHUNK = 2_000_000


def triangle_weights(points: Array, corners: Array) -> Array:
    r"""Return :math:`\frac1{4\pi}\int\phi_i\,d\Omega` of triangles seen from points, (p, t, 3).

    dOmega is the solid angle, positive where the normal (right-handed about the corners) points
    away from the point; a point in the plane of a triangle sees nothing.

    Args:
        points: Shape (p, 3).
        corners: Shape (t, 3 corners, 3).
    """
    edge = np.roll(corners, -1, axis=1) - corners
    length = np.linalg.norm(edge, axis=2)
    along = edge / length[:, :, None]
    normal = np.cross(edge[:, 0], edge[:, 1])
    twice_area = np.linalg.norm(normal, axis=1)
    normal = normal / twice_area[:, None]
    inward = np.cross(normal[:, None, :], along)
    rho = corners[None] - points[:, None, None, :]
    distance = np.linalg.norm(rho, axis=3)
    zeta = np.einsum("ptk,tk->pt", rho[:, :, 0], normal)
    plane = np.abs(zeta) < 1e-12 * length.max(axis=1)
    solid = _solid_angle(rho, distance)
    reach = distance + np.roll(distance, -1, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log((reach + length) / (reach - length))
    offset = np.einsum("ptik,tik->pti", rho, inward)
    cosines = np.einsum("tik,tjk->tij", along, along)
    logs = np.where(plane[:, :, None], 0.0, logs)
    sides = -offset * solid[:, :, None] + zeta[:, :, None] * np.einsum("tij,ptj->pti", cosines, logs)
    # Corner i faces the side from i + 1 to i + 2.
    weights = np.roll(sides * length / twice_area[:, None], -1, axis=2) / (4 * np.pi)
    return np.where(plane[:, :, None], 0.0, weights)


def _solid_angle(rho: Array, distance: Array) -> Array:
    """Return signed solid angles (van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 1983)."""
    a, b, c = (rho[:, :, k] for k in range(3))
    r, s, t = (distance[:, :, k] for k in range(3))
    top = np.einsum("ptk,ptk->pt", a, np.cross(b, c))
    products = [np.einsum("ptk,ptk->pt", x, y) for x, y in ((a, b), (a, c), (b, c))]
    bottom = r * s * t + products[0] * t + products[1] * s + products[2] * r
    found: Array = 2 * np.arctan2(top, bottom)
    return found


def boundary_matrix(points: Array, triangles: Indices) -> Array:
    """Return B with u_2 = B u_1 at the boundary nodes, shape (n, n).

    Args:
        points: Boundary nodes, shape (n, 3).
        triangles: Their numbers by boundary triangle, outward, shape (t, 3).
    """
    n = len(points)
    matrix = np.zeros((n, n))
    corners = points[triangles]
    gather = sp.csr_array(
        (np.ones(triangles.size), (np.arange(triangles.size), triangles.ravel())), (triangles.size, n)
    )
    rows = max(1, _CHUNK // (9 * len(triangles)))
    for first in range(0, n, rows):
        part = triangle_weights(points[first : first + rows], corners)
        matrix[first : first + rows] = -(gather.T @ part.reshape(len(part), -1).T).T
    # u_1 = 1 in a magnet without charges gives u = 0: every row adds up to -1.  This is the
    # solid angle of the corner at the node itself.
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -1.0 - matrix.sum(axis=1))
    return matrix


@dataclass(frozen=True)
class BoundaryDemagnetization(Quadratic):
    """Open-boundary demagnetization of a mesh of tetrahedra.

    Args:
        space: The nodal space.
        strength: mu_0 M_s^2 / s [1/ps].
        boundary: Boundary nodes, shape (b,).
        interior: The others, shape (n - b,).
        kept: All nodes but one of every connected part, shape (n - parts,).
        matrix_b: B, shape (b, b).
        neumann: Factorized stiffness of `kept`.
        dirichlet: Factorized stiffness of `interior`, None without.
        coupling: Stiffness between interior and boundary, shape (n - b, b).
        symmetric: Use the symmetrized operator.
    """

    space: TextureSpace
    strength: float
    boundary: Indices
    interior: Indices
    kept: Indices
    matrix_b: Array
    neumann: Any
    dirichlet: Any
    coupling: sp.csr_array
    symmetric: bool = True

    def gradient(self, m: Array, time: float) -> Array:
        """Return mu_0 M_s^2 times the integral of phi grad u [nm^3/ps], shape (n, 3)."""
        u = self.potential(m)
        return self.strength * np.stack([c @ u for c in self.space.gradient], axis=1)

    @cached_property
    def trace(self) -> float:
        """Sum of the demagnetizing factors of the body along x, y and z; 1 without error."""
        total = 0.0
        for unit in np.eye(3):
            m = np.tile(unit, (self.space.size, 1))
            total += 2 * self.energy(m, 0.0) / (self.strength * self.space.volume)
        return total

    def potential(self, m: Array) -> Array:
        """Return u / M_s [nm] at the nodes, shape (n,)."""
        charge = sum(c.T @ m[:, k] for k, c in enumerate(self.space.gradient))
        first = self._neumann(charge)
        second = self._extend(self.matrix_b @ first[self.boundary])
        if not self.symmetric:
            return first + second
        back = np.zeros_like(first)
        back[self.boundary] = self.matrix_b.T @ self._restrict(charge)
        return first + 0.5 * (second + self._neumann(back))

    def _neumann(self, charge: Array) -> Array:
        u = np.zeros(self.space.size)
        u[self.kept] = self.neumann.solve(np.asarray(charge)[self.kept])
        return u

    def _extend(self, values: Array) -> Array:
        """Return the harmonic function with these boundary values."""
        u = np.empty(self.space.size)
        u[self.boundary] = values
        if self.dirichlet is not None:
            u[self.interior] = self.dirichlet.solve(-(self.coupling @ values))
        return u

    def _restrict(self, charge: Array) -> Array:
        """Return the transpose of `_extend`."""
        values: Array = np.array(charge[self.boundary])
        if self.dirichlet is not None:
            values -= self.coupling.T @ self.dirichlet.solve(charge[self.interior])
        return values

    def matrix(self, m: Array) -> None:
        """Return None: the term is long-range."""


def boundary_demagnetization(
    space: TextureSpace, magnet: Ferromagnet, symmetric: bool = True
) -> BoundaryDemagnetization:
    """Return the demagnetization term of a magnet of tetrahedra.

    Raises:
        CaseError: If the mesh is not of tetrahedra, is periodic, or its boundary is too large.
    """
    kind = type(space.mesh).__name__
    if kind != "MeshTet1" or space.periods:
        raise CaseError("mesh", f"boundary elements need an open mesh of tetrahedra, got {kind}")
    triangles = _outward_triangles(space)
    boundary = np.unique(triangles)
    if len(boundary) > _MOST_BOUNDARY_NODES:
        raise CaseError(
            "mesh",
            f"{len(boundary)} boundary nodes; the dense boundary matrix allows"
            f" {_MOST_BOUNDARY_NODES}. A film on a grid of rectangles needs none",
        )
    interior = np.setdiff1d(np.arange(space.size), boundary)
    matrix_b = boundary_matrix(space.positions[boundary], np.searchsorted(boundary, triangles))
    stiffness = sp.csr_array(space.stiffness)
    parts, label = connected_components(stiffness, directed=False)
    pinned = [int(np.flatnonzero(label == k)[0]) for k in range(parts)]
    kept = np.setdiff1d(np.arange(space.size), pinned)
    inner = stiffness[interior]
    dirichlet = splu(sp.csc_array(inner[:, interior])) if len(interior) else None
    return BoundaryDemagnetization(
        space,
        rate(2 * magnet.shape_anisotropy / magnet.spin_density),
        boundary,
        interior,
        kept,
        matrix_b,
        splu(sp.csc_array(stiffness[kept][:, kept])),
        dirichlet,
        sp.csr_array(inner[:, boundary]),
        symmetric,
    )


def _outward_triangles(space: TextureSpace) -> Indices:
    """Return nodes of the boundary triangles, right-handed about the outward normal, (t, 3)."""
    mesh = space.mesh
    facets = outer_facets(mesh, space.cells)
    inside = np.isin(mesh.f2t[:, facets], space.cells)
    cell = np.where(inside[0], mesh.f2t[0, facets], mesh.f2t[1, facets])
    corners = mesh.facets[:, facets]
    a, b, c = (mesh.p[:, corners[k]] for k in range(3))
    centre = mesh.p[:, mesh.t[:, cell]].mean(axis=1)
    outward = np.einsum("ij,ij->j", np.cross(b - a, c - a, axis=0), a - centre) > 0
    flipped = corners[[0, 2, 1]]
    found: Indices = space.node_of_vertex[np.where(outward, corners, flipped)].T
    return found
