r"""The nodal space of a magnetization texture: linear elements with a lumped mass.

The magnetization lives at the vertices of the cells of one region.  With the lumped mass
:math:`V_i = \int\phi_i` the local terms act node by node and no mass matrix is ever solved:

.. math:: S_{ij} = \int\nabla\phi_i\cdot\nabla\phi_j, \qquad
    C^k_{ij} = \int\phi_i\,\partial_k\phi_j, \qquad M_{ij} = \int\phi_i\phi_j .

Where lumping would cost accuracy, one step of an iteration on M takes most of it back.  Exchange
and DMI on right-angled cells are right to order h^4, see `grid`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import skfem

from ..errors import CaseError, closest
from ..structure.model import Structure, facet_measures
from ..units import Array, Indices
from .grid import Edges, grid_edges

__all__ = ["TextureSpace", "mesh_space", "region_space"]


_ELEMENTS: dict[str, Any] = {
    "MeshLine1": skfem.ElementLineP1,
    "MeshTri1": skfem.ElementTriP1,
    "MeshQuad1": skfem.ElementQuad1,
    "MeshTet1": skfem.ElementTetP1,
    "MeshHex1": skfem.ElementHex1,
}


@dataclass(frozen=True)
class TextureSpace:
    """Nodes of a magnetic region and the integrals of its energy; lengths in nm.

    Args:
        mesh: The scikit-fem mesh.
        axes: Physical direction (0, 1, 2) of each mesh coordinate.
        cells: Mesh cells of the region, shape (n_cells,).
        node_of_vertex: Node of each mesh vertex, -1 off the region; periodic images share one.
        positions: Physical coordinates of the nodes [nm], shape (n, 3).
        section: Thickness [nm] of a plane mesh, cross-section [nm^2] of a line, 1 in 3D.
        volumes: V_i [nm^3], shape (n,).
        mass: M [nm^3], shape (n, n); its rows add up to V.
        stiffness: S [nm], shape (n, n).
        gradient: C^k [nm^2] for k = x, y, z, each of shape (n, n); zero off `axes`.
        periods: Mesh coordinates that are periodic, with their periods [nm].
        faces: Directions that are not meshed and end in free faces, with their extents [nm].
        sharpened: Take back what linear elements with a lumped mass miss of (u . grad) m, and on
            right-angled cells of exchange and DMI; see `along` and `edges`.
        driven: Torques act on the faces of the region, as at an interface of a device.
    """

    mesh: Any
    axes: tuple[int, ...]
    cells: Indices
    node_of_vertex: Indices
    positions: Array
    section: float
    volumes: Array
    mass: sp.csr_array
    stiffness: sp.csr_array
    gradient: tuple[sp.csr_array, sp.csr_array, sp.csr_array]
    periods: tuple[tuple[int, float], ...] = ()
    faces: tuple[tuple[int, float], ...] = ()
    sharpened: bool = True
    driven: bool = False

    @property
    def size(self) -> int:
        """Number of nodes n."""
        return len(self.volumes)

    @property
    def volume(self) -> float:
        """Volume of the region [nm^3]."""
        return float(self.volumes.sum())

    @cached_property
    def edges(self) -> tuple[Edges, ...] | None:
        """The edges along each mesh coordinate; None if a cell is not right-angled, or unasked."""
        if not self.sharpened:
            return None
        return grid_edges(self.mesh, self.cells, self.node_of_vertex, self.section)

    @cached_property
    def exchange(self) -> sp.csr_array:
        """Matrix of the integral of |grad m|^2 [nm], shape (n, n).

        It is S, and on right-angled cells what errs by order h^4 only, of m without slope at the
        free faces; where torques act on these the same as `sloped_exchange`.
        """
        return self.sloped_exchange if self.driven else self._exchange(sloped=False)

    @cached_property
    def sloped_exchange(self) -> sp.csr_array:
        """The same of m with a slope at free faces, as DMI gives it; there of order h^2."""
        return self._exchange(sloped=True)

    def _exchange(self, sloped: bool) -> sp.csr_array:
        if self.edges is None:
            return self.stiffness
        total = sp.csr_array((self.size, self.size))
        for edges in self.edges:
            total = total + edges.exchange(sloped)
        return sp.csr_array(total)

    @cached_property
    def turns(self) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
        """C^k - (C^k)^T [nm^2]: what derivative products in an energy leave in its gradient.

        On right-angled cells what errs by order h^4 only.
        """
        x, y, z = (sp.csr_array(c - c.T) for c in self.gradient)
        if self.edges is not None:
            found = dict(zip(self.axes, self.edges, strict=True))
            x, y, z = (found[k].turns if k in found else old for k, old in enumerate((x, y, z)))
        return x, y, z

    @cached_property
    def spacing(self) -> float:
        """Length h [nm] with largest eigenvalue of V^-1 S equal to 4/h^2 (mesh size of a line)."""
        bound = np.abs(self.stiffness).sum(axis=1) / self.volumes
        return float(2 / np.sqrt(bound.max()))

    @cached_property
    def steepest(self) -> float:
        """Bound on the largest k^2 [1/nm^2] that the exchange of this mesh knows."""
        return float((np.abs(self.exchange).sum(axis=1) / self.volumes).max())

    @cached_property
    def cell_extents(self) -> dict[int, float]:
        """Largest extent [nm] of a cell along each direction with several cells or nodes."""
        cells = self.mesh.t[:, self.cells]
        found = {}
        for k, axis in enumerate(self.axes):
            x = self.mesh.p[k, cells]
            largest, whole = float(np.ptp(x, axis=0).max()), float(np.ptp(x))
            if largest < (1 - 1e-9) * whole:
                found[axis] = largest
        return found

    def largest_turn(self, m: Array) -> float:
        """Return the largest angle [rad] between unit vectors at both ends of an edge."""
        mesh = self.mesh
        pairs = {1: mesh.t, 2: mesh.facets, 3: getattr(mesh, "edges", None)}[mesh.dim()]
        ends = self.node_of_vertex[pairs[:, (self.node_of_vertex[pairs] >= 0).all(axis=0)]]
        sine = np.linalg.norm(np.cross(m[ends[0]], m[ends[1]]), axis=1)
        return float(np.arctan2(sine, (m[ends[0]] * m[ends[1]]).sum(axis=1)).max())

    def along(self, velocity: Array, values: Array) -> Array:
        """Return (u . grad) of nodal values, projected to the nodes.

        The lumped mass makes the slope of a wave of wavenumber k by the factor 1 - (k h)^2/6 too
        small, which the consistent mass would not.  A `sharpened` space restores it by
        x + V^-1 (V - M) x, to order h^4 on regular meshes and without a linear solve.

        Args:
            velocity: u [nm/ps], shape (3,) or (n, 3).
            values: Nodal values, shape (n, c).
        """
        u = np.broadcast_to(velocity, (self.size, 3))
        out = np.zeros_like(values)
        for k in self.axes:
            if u[:, k].any():
                out += u[:, k, None] * (self.gradient[k] @ values)
        slope = out / self.volumes[:, None]
        if not self.sharpened:
            return slope
        found: Array = 2 * slope - (self.mass @ slope) / self.volumes[:, None]
        return found

    def along_matrix(self, velocity: Array) -> sp.csr_array:
        """Return the matrix of `along` at a velocity [nm/ps], shape (n, n) [1/ps]."""
        u = np.broadcast_to(velocity, (self.size, 3))
        total = sp.csr_array((self.size, self.size))
        for k in self.axes:
            total = total + sp.diags_array(u[:, k]) @ self.gradient[k]
        slope = sp.csr_array(sp.diags_array(1 / self.volumes) @ total)
        if not self.sharpened:
            return slope
        return sp.csr_array(2 * slope - sp.diags_array(1 / self.volumes) @ (self.mass @ slope))

    def mean(self, values: Array) -> Array:
        """Return the volume average of nodal values, shape (c,)."""
        return self.volumes @ values / self.volume

    def surface(self, facets: Indices) -> Array:
        """Return the area [nm^2] of mesh facets lumped to the nodes, shape (n,)."""
        corners = self.node_of_vertex[self.mesh.facets[:, facets]]
        share = facet_measures(self.mesh, facets) * self.section / len(corners)
        areas = np.zeros(self.size)
        np.add.at(areas, corners, np.broadcast_to(share, corners.shape))
        return areas


def region_space(structure: Structure, region: str, section: float = 1.0) -> TextureSpace:
    """Return the nodal space of a region of a device.

    Args:
        structure: The meshed device.
        region: Name of the magnetic region.
        section: Extent of the directions that are not meshed [nm^(3 - dimension)].

    Raises:
        CaseError: If there is no such region.
    """
    if region not in structure.regions:
        known = ", ".join(structure.regions)
        raise CaseError(
            "structure", f"no region {region!r}; regions: {known}{closest(region, structure.regions)}"
        )
    cells = structure.cells(region)
    space = _build(structure.mesh, structure.axes, cells, section, structure.periods)
    return replace(space, driven=True)


def mesh_space(
    mesh: Any,
    axes: Sequence[int] | None = None,
    section: float = 1.0,
    periodic: Sequence[int] = (),
    faces: Sequence[tuple[int, float]] = (),
) -> TextureSpace:
    """Return the nodal space of a whole mesh in nm.

    Args:
        mesh: A scikit-fem mesh of lines, triangles, quadrilaterals, tetrahedra or hexahedra.
        axes: Physical direction of each mesh coordinate; by default x, then y, then z.
        section: Extent of the directions that are not meshed [nm^(3 - dimension)].
        periodic: Mesh coordinates that are periodic over the extent of the mesh.
        faces: Directions that are not meshed and end in free faces, with their extents [nm].
    """
    directions = tuple(range(mesh.dim())) if axes is None else tuple(axes)
    if len(directions) != mesh.dim() or not set(directions) <= {0, 1, 2}:
        raise CaseError("axes", f"needs {mesh.dim()} of 0, 1, 2, one per coordinate; got {axes}")
    periods = tuple((k, float(np.ptp(mesh.p[k]))) for k in periodic)
    space = _build(mesh, directions, np.arange(mesh.nelements), section, periods)
    return replace(space, faces=tuple(faces))


def _build(
    mesh: Any, axes: tuple[int, ...], cells: Indices, section: float, periods: tuple[tuple[int, float], ...]
) -> TextureSpace:
    if not section > 0:
        raise CaseError("section", f"must be positive, got {section}")
    if len(axes) == 3 and section != 1.0:
        raise CaseError("section", f"must be 1 where all three directions are meshed, got {section}")
    number = _number_nodes(mesh, cells, periods)
    first = np.unique(number, return_index=True)[1][1 if number.min() < 0 else 0 :]
    positions = np.zeros((len(first), 3))
    positions[:, axes] = mesh.p[:, first].T
    stiffness, gradient, mass = _integrals(mesh, cells, number, len(first), section)
    volumes = np.asarray(mass.sum(axis=1)).ravel()
    zero = sp.csr_array(stiffness.shape)
    x, y, z = (gradient[axes.index(k)] if k in axes else zero for k in range(3))
    return TextureSpace(
        mesh, axes, cells, number, positions, section, volumes, mass, stiffness, (x, y, z), periods
    )


def _number_nodes(mesh: Any, cells: Indices, periods: tuple[tuple[int, float], ...]) -> Indices:
    """Return the node of every vertex: vertices one period apart share it, others get -1."""
    used = np.zeros(mesh.nvertices, bool)
    used[mesh.t[:, cells]] = True
    representative = np.arange(mesh.nvertices)
    scale = float(np.ptp(mesh.p, axis=1).max())
    for axis, period in periods:
        low = mesh.p[axis].min()
        image = np.abs(mesh.p[axis] - low - period) < 1e-9 * scale
        others = np.delete(mesh.p, axis, axis=0)
        key = [tuple(row) for row in np.round(others.T / scale * 1e8).astype(np.int64)]
        base = {key[v]: v for v in np.flatnonzero(np.abs(mesh.p[axis] - low) < 1e-9 * scale)}
        for v in np.flatnonzero(image):
            if key[v] not in base:
                raise CaseError("structure.lateral", "opposite periodic sides do not match")
            representative[v] = base[key[v]]
    for _ in periods:
        representative = representative[representative]
    number = np.full(mesh.nvertices, -1)
    kept = np.unique(representative[used])
    number[kept] = np.arange(len(kept))
    return np.where(used, number[representative], -1)


def _integrals(
    mesh: Any, cells: Indices, number: Indices, n: int, section: float
) -> tuple[sp.csr_array, list[sp.csr_array], sp.csr_array]:
    """Return S, the C^k of the mesh coordinates, and M."""
    element = _ELEMENTS.get(type(mesh).__name__)
    if element is None:
        raise CaseError("mesh", f"linear cells are needed, got {type(mesh).__name__}")
    basis = skfem.CellBasis(mesh, element(), elements=cells, intorder=4)
    inside = np.flatnonzero(number >= 0)
    fold = sp.csr_array(
        (np.full(len(inside), np.sqrt(section)), (inside, number[inside])), (mesh.nvertices, n)
    )

    def assemble(form: Any) -> sp.csr_array:
        return sp.csr_array(fold.T @ sp.csr_array(skfem.BilinearForm(form).assemble(basis)) @ fold)

    stiffness = assemble(lambda u, v, _: (u.grad * v.grad).sum(axis=0))
    gradient = [assemble(lambda u, v, _, k=k: u.grad[k] * v) for k in range(mesh.dim())]
    return stiffness, gradient, assemble(lambda u, v, _: u * v)
