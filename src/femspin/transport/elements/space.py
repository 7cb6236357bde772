"""The scalar finite-element space on the conducting cells, and its element moments.

The four components of mu share one scalar basis: degree of freedom ``4 n + eta`` is component
eta at scalar dof n.  Dofs on opposite periodic sides are one dof.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import skfem
from skfem.assembly.dofs import Dofs
from skfem.quadrature import get_quadrature

from ...structure.model import Interface, Structure
from ...units import AnyArray, Array
from .affine import affine_jets, affine_maps, affine_measures, affine_points, is_affine, simplex_traces
from .lagrange import lagrange_element
from .moments import (
    Moments,
    ReferenceMoments,
    affine_moments,
    affine_vector,
    basis_table,
    quadrature_moments,
    reference_moments,
)
from .numbering import positions_of, raw_dofs, region_groups, shared_numbers, used_pairs
from .pattern import Pattern, build_pattern

__all__ = ["Moments", "Pattern", "Space", "build_space", "outer_cells", "quadrature_order", "reference_nodes"]


_CHUNK_BYTES = 2.0e8
_KEPT_BYTES = 2.0e7


@dataclass(frozen=True)
class Space:
    """Scalar space on the conducting cells.

    Args:
        structure: The meshed device.
        order: Polynomial order.
        element: scikit-fem element.
        cells: Mesh cell of each conducting cell, shape (n_cells,).
        region_of_cell: Index into structure.regions, shape (n_cells,).
        dofs: Scalar dofs of each cell, shape (n_cells, n_local).
        n_dofs: Number of scalar dofs.
        locations: Coordinates of the dofs [nm], shape (dim, n_dofs).
        number: Scalar dof of each scikit-fem dof in each group of regions, -1 off the group,
            shape (n_groups, n_raw).
        group_of_region: Group of each region of the structure, -1 for insulators.  Regions
            joined without a contact are one group and share their dofs.
        contacts: Interfaces across which the potentials may jump.
    """

    structure: Structure
    order: int
    element: Any
    cells: AnyArray
    region_of_cell: AnyArray
    dofs: AnyArray
    n_dofs: int
    locations: Array
    number: AnyArray
    group_of_region: AnyArray
    contacts: frozenset[str] = frozenset()

    def of_order(self, order: int) -> Space:
        """Return the space of another order on the same cells with the same contacts."""
        names = self.structure.regions
        conductors = tuple(names[k] for k in np.flatnonzero(self.group_of_region >= 0))
        return build_space(self.structure, conductors, order, self.contacts)

    @property
    def dimension(self) -> int:
        """Number of mesh coordinates."""
        return self.structure.dimension

    @property
    def size(self) -> int:
        """Number of unknowns, 4 per scalar dof."""
        return 4 * self.n_dofs

    @cached_property
    def numbering(self) -> Any:
        """The scikit-fem numbering of the dofs of the whole mesh."""
        return Dofs(self.structure.mesh, self.element)

    @cached_property
    def basis(self) -> Any:
        """The scikit-fem basis on the conducting cells; large, so only made where needed."""
        mesh = self.structure.mesh
        return skfem.Basis(
            mesh,
            self.element,
            elements=self.cells,
            dofs=self.numbering,
            intorder=quadrature_order(mesh, self.order),
            disable_doflocs=True,
        )

    @cached_property
    def mapping(self) -> Any:
        """The scikit-fem map from the reference cell to every mesh cell."""
        return self.structure.mesh._mapping()

    @cached_property
    def pattern(self) -> Pattern:
        """The sparsity pattern, built once per mesh and element."""
        return build_pattern(self.dofs, self.n_dofs)

    @cached_property
    def affine(self) -> bool:
        """Whether all cells are affine images of the reference cell."""
        return is_affine(self.structure.mesh, self.cells)

    def measure(self, cells: AnyArray) -> float:
        """Return the volume of some conducting cells [nm^dim]."""
        return float(self.measures[cells].sum())

    @cached_property
    def measures(self) -> Array:
        """Volumes of the conducting cells [nm^dim], shape (n_cells,)."""
        if self.affine:
            return affine_measures(self.structure.mesh, self.cells)
        return np.asarray(self.basis.dx.sum(axis=1))

    def in_region(self, name: str) -> AnyArray:
        """Return the positions of a region's cells among the conducting cells."""
        return self._cells_of[name]

    def region_slots(self, name: str) -> tuple[AnyArray, AnyArray]:
        """Return the slots of the pattern that a region's cells touch, and where each stands.

        The second has shape (n_slots,), -1 for other slots.
        """
        if name not in self._slots_of:
            touched = np.zeros(len(self.pattern.indices), bool)
            touched[self.pattern.slots(self.in_region(name)).ravel()] = True
            position = np.where(touched, np.cumsum(touched, dtype=np.int32) - 1, np.int32(-1))
            self._slots_of[name] = (np.flatnonzero(touched), position)
        return self._slots_of[name]

    @cached_property
    def _slots_of(self) -> dict[str, tuple[AnyArray, AnyArray]]:
        return {}

    @cached_property
    def kept_matrices(self) -> dict[tuple[str, bool], Any]:
        """Scalar matrices of the regions, kept by `kronecker`."""
        return {}

    @cached_property
    def kept_elements(self) -> dict[str, tuple[Any, Any]]:
        """The latest element matrices of small regions with their coefficients, kept by `regions`."""
        return {}

    @cached_property
    def kept_shapes(self) -> dict[str, tuple[AnyArray, AnyArray]]:
        """Congruent cells of the regions, kept by `congruent`."""
        return {}

    @cached_property
    def _cells_of(self) -> dict[str, AnyArray]:
        names = self.structure.regions
        return {n: np.flatnonzero(self.region_of_cell == k).astype(np.int32) for k, n in enumerate(names)}

    def numbers(self, region: str) -> AnyArray:
        """Return the scalar dof of each scikit-fem dof as a region sees it, shape (n_raw,)."""
        numbers: AnyArray = self.number[self.group_of_region[self.structure.regions.index(region)]]
        return numbers

    def facet_dofs(self, facets: AnyArray, cells: AnyArray) -> AnyArray:
        """Return the scalar dofs on mesh facets as seen from the given cells, ascending."""
        group = self._group_of_cell(cells)
        found = [
            self.number[g][self.raw_facet_dofs(np.asarray(facets)[group == g])] for g in np.unique(group)
        ]
        dofs = np.unique(np.concatenate(found))
        return dofs[dofs >= 0]

    def raw_facet_dofs(self, facets: AnyArray) -> AnyArray:
        """Return the dofs on mesh facets in scikit-fem's numbering, ascending."""
        if self.order == 1:  # scikit-fem would number all edges of the mesh first
            return np.asarray(np.unique(self.structure.facet_corners(facets)))
        return np.unique(self.numbering.get_facet_dofs(facets).flatten())

    def interface_dofs(self, interface: Interface, region: str | None = None) -> AnyArray:
        """Return the scalar dofs on an interface, of its first region unless another is named."""
        second = region == interface.second
        return self.facet_dofs(interface.facets, interface.cells_second if second else interface.cells_first)

    def _group_of_cell(self, cells: AnyArray) -> AnyArray:
        group: AnyArray = self.group_of_region[self.structure.region_of_cell[cells]]
        return group

    def contact_masses(self, interface: Interface) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
        """Return the masses over an interface between the dofs of its two sides.

        In the order (first, first), (first, second), (second, second), shape (n_dofs, n_dofs).
        """
        a, dx, first = self._facet_basis(interface.facets, interface.cells_first)
        b, _, second = self._facet_basis(interface.facets, interface.cells_second)
        return (
            self._mass(a, a, dx, first, first),
            self._mass(a, b, dx, first, second),
            self._mass(b, b, dx, second, second),
        )

    def _mass(self, left: Array, right: Array, dx: Array, rows: AnyArray, columns: AnyArray) -> sp.csr_array:
        local = np.einsum("iep,mep,ep->ime", left, right, dx)
        i = np.broadcast_to(rows[:, None], local.shape)
        m = np.broadcast_to(columns[None], local.shape)
        shape = (self.n_dofs, self.n_dofs)
        return sp.coo_array((local.ravel(), (i.ravel(), m.ravel())), shape=shape).tocsr()

    def chunks(self, cells: AnyArray) -> Iterator[Moments]:
        """Yield the element moments of `cells` in pieces of bounded size.

        A region that fits into one small piece is kept: it is asked for again and again while
        the magnetization moves.
        """
        n, d = self.dofs.shape[1], self.dimension
        size = 8 * n * n * (d + 1) ** 2
        if len(cells) * size < _KEPT_BYTES and len(cells):
            key = _key(cells)
            if key not in self._kept:
                self._kept[key] = self.moments(cells)
            yield self._kept[key]
            return
        step = max(1, int(_CHUNK_BYTES / size))
        for start in range(0, len(cells), step):
            yield self.moments(cells[start : start + step])

    @cached_property
    def _kept(self) -> dict[tuple[int, int, int], Moments]:
        return {}

    def jets(self, cells: AnyArray) -> tuple[Array, Array]:
        """Return the basis and its derivatives at the quadrature points, and the weights.

        Row 0..dim-1 of the jet: derivatives [1/nm]; row dim: the value.  The shapes are
        (n_local, dim + 1, n, points) and (n, points) [nm^dim].

        Args:
            cells: Positions among the conducting cells, shape (n,).
        """
        if self.affine:
            mesh, (points, weights) = self.structure.mesh, self.quadrature
            table = basis_table(self.element, points)
            return affine_jets(mesh, self.cells[cells], table, weights)
        shape = self.basis.dx.shape
        phi = np.stack([np.broadcast_to(f[0], shape)[cells] for f in self.basis.basis])
        grad = np.stack([f[0].grad[:, cells] for f in self.basis.basis])
        return np.concatenate([grad, phi[:, None]], axis=1), self.basis.dx[cells]

    def quadrature_positions(self, cells: AnyArray) -> Array:
        """Return the quadrature points of `jets` [nm], shape (n, points, dim)."""
        if self.affine:
            return affine_points(self.structure.mesh, self.cells[cells], self.quadrature[0])
        return np.asarray(self.basis.mapping.F(self.basis.X, self.cells[cells])).transpose(1, 2, 0)

    @cached_property
    def quadrature(self) -> tuple[Array, Array]:
        """Points (dim, n_points) and weights (n_points,) of the rule on the reference cell."""
        order = quadrature_order(self.structure.mesh, self.order)
        points, weights = get_quadrature(self.element.refdom, order)
        return np.asarray(points), np.asarray(weights)

    def node_positions(self, cells: AnyArray) -> Array:
        """Return where the cells' own nodes lie [nm], shape (n, n_local, dim).

        They are not wrapped: on a periodic side two cells name one dof at two positions.
        """
        nodes = reference_nodes(self).T
        mesh = self.structure.mesh
        if mesh.t.shape[0] == mesh.dim() + 1:
            weights = np.vstack([1 - nodes.sum(axis=0), nodes])
            corners = mesh.p[:, mesh.t[:, self.cells[cells]]]
            return np.asarray(np.einsum("vi,jvn->nij", weights, corners, optimize=True))
        return np.asarray(self.mapping.F(nodes, self.cells[cells])).transpose(1, 2, 0)

    def centroids(self, cells: AnyArray) -> Array:
        """Return the mean of the vertices of the cells [nm], shape (n, dim)."""
        mesh = self.structure.mesh
        return np.asarray(mesh.p[:, mesh.t[:, self.cells[cells]]].mean(axis=1).T)

    @cached_property
    def kept_pieces(self) -> dict[str, Any]:
        """Pieces of small regions with a gauge field, kept by `covariant.pieces`."""
        return {}

    def vector_chunks(self, cells: AnyArray) -> Iterator[Moments]:
        """Yield moments like `chunks`, without the costly matrix (its size is zero) if not kept."""
        if len(cells) and _key(cells) in self._kept:
            yield self._kept[_key(cells)]
            return
        step = max(1, int(_CHUNK_BYTES / (8 * self.dofs.shape[1] * (self.dimension + 1) ** 2)))
        for start in range(0, len(cells), step):
            piece = cells[start : start + step]
            if self.reference is None:
                vector = np.einsum("icep,ep->eic", *self.jets(piece))
            else:
                vector = affine_vector(self.reference, *self._metric(piece))
            yield Moments(piece, np.zeros((len(piece), 0, 0)), vector)

    @cached_property
    def reference(self) -> ReferenceMoments | None:
        """The moments of the reference cell; None if some cells are no affine images of it."""
        if not self.affine:
            return None
        return reference_moments(self.element, quadrature_order(self.structure.mesh, self.order))

    def _metric(self, cells: AnyArray) -> tuple[Array, Array]:
        return affine_maps(self.structure.mesh, self.cells[cells])

    def moments(self, cells: AnyArray) -> Moments:
        """Return the element moments of `cells`, by quadrature exact for affine cells."""
        if self.reference is not None:
            return affine_moments(self.reference, cells, *self._metric(cells))
        return quadrature_moments(cells, *self.jets(cells))

    def facet_mass(self, facets: AnyArray, cells: AnyArray) -> tuple[sp.csr_array, Array]:
        """Return the mass matrix (n_dofs, n_dofs) and load (n_dofs,) of a set of facets.

        Args:
            facets: Mesh facets.
            cells: The conducting mesh cell at each facet, from which the trace is taken.
        """
        phi, dx, dofs = self._facet_basis(facets, cells)
        mass = self._mass(phi, phi, dx, dofs, dofs)
        load = np.einsum("iep,ep->ie", phi, dx)
        sums = np.bincount(dofs.ravel(), load.ravel(), minlength=self.n_dofs)
        return mass, np.asarray(sums, float)

    def facet_means(self, facets: AnyArray, cells: AnyArray, values: Array) -> Array:
        """Return the mean over each facet of dof values (n_dofs, k), shape (n_facets, k)."""
        phi, dx, dofs = self._facet_basis(facets, cells)
        found: Array = np.einsum("iep,ep,iek->ek", phi, dx, values[dofs]) / dx.sum(axis=1)[:, None]
        return found

    def _facet_basis(self, facets: AnyArray, cells: AnyArray) -> tuple[Array, Array, AnyArray]:
        """Return basis values (local, facet, point), weights (facet, point) and dofs."""
        mesh, dofs = self.structure.mesh, self.dofs[np.searchsorted(self.cells, cells)].T
        if mesh.t.shape[0] == mesh.dim() + 1:
            phi, dx = simplex_traces(mesh, self.element, 2 * self.order + 1, facets, cells)
            return phi, dx, dofs
        side = (self.structure.facet_cells(facets)[1] == cells).astype(np.int32)
        oriented = skfem.generic_utils.OrientedBoundary(facets, side)
        basis = skfem.FacetBasis(
            mesh,
            self.element,
            facets=oriented,
            intorder=2 * self.order + 1,
            dofs=self.numbering,
            disable_doflocs=True,
        )
        phi = np.stack([np.broadcast_to(np.asarray(f[0]), basis.dx.shape) for f in basis.basis])
        return phi, basis.dx, dofs


def build_space(
    structure: Structure, conductors: tuple[str, ...], order: int, contacts: Collection[str] = ()
) -> Space:
    """Return the scalar space of the given order on the conducting regions.

    Args:
        structure: The mesh.
        conductors: Names of the conducting regions.
        order: Polynomial order; 1 and 2 are scikit-fem's elements, from 3 on `LagrangeElement`.
        contacts: Interfaces across which the potentials may jump.

    Raises:
        CaseError: If the two sides of a contact also touch without one.
    """
    mesh = structure.mesh
    cells = structure.cells(*conductors).astype(np.int32)
    whole = len(cells) == mesh.nelements
    element = lagrange_element(mesh, order)
    vertices = mesh.t if whole else mesh.t[:, cells]
    own, n_raw = raw_dofs(mesh, element, vertices, slice(None) if whole else cells)
    positions = mesh.p if own is vertices else positions_of(mesh, element, cells, own, n_raw)
    group_of_region = region_groups(structure, conductors, contacts)
    region_of_cell = structure.region_of_cell if whole else structure.region_of_cell[cells]
    group = group_of_region.astype(np.int16)[region_of_cell]
    used = used_pairs(own, group, (int(group_of_region.max()) + 1, n_raw))
    locations = positions[:, used[1]]
    master, n_dofs = shared_numbers(locations, used[0], structure.periods)
    number = np.full((int(group_of_region.max()) + 1, n_raw), -1, np.int32)
    number[used] = master
    dofs = np.empty((len(cells), len(own)), np.int32)
    for column, row in zip(dofs.T, own, strict=True):
        column[:] = number[group, row]
    first = np.zeros(n_dofs, np.int32)
    first[master[::-1]] = np.arange(len(master), dtype=np.int32)[::-1]
    return Space(
        structure=structure,
        order=order,
        element=element,
        cells=cells,
        region_of_cell=region_of_cell,
        dofs=dofs,
        n_dofs=n_dofs,
        locations=locations[:, first],
        number=number,
        group_of_region=group_of_region,
        contacts=frozenset(contacts),
    )


def _key(cells: AnyArray) -> tuple[int, int, int]:
    """Return what tells the cells of one region from those of another."""
    return int(cells[0]), int(cells[-1]), len(cells)


def reference_nodes(space: Space) -> Array:
    """Return the nodes of the element in reference coordinates, shape (n_local, dim)."""
    return np.asarray(space.element.doflocs, float)


def quadrature_order(mesh: Any, order: int) -> int:
    """Return the scikit-fem order of a rule exact for products of two fields on affine cells."""
    if mesh.t.shape[0] != mesh.dim() + 1:
        # Trilinear cells may be curved: integrate two orders above the affine-exact rule there.
        return 2 * order + 1
    # The rules for tetrahedra that scikit-fem 12 lists from order 5 on are one order short.
    return 2 * order + (mesh.dim() == 3 and order > 2)


def outer_cells(space: Space, facets: AnyArray) -> AnyArray:
    """Return the conducting mesh cell at each facet."""
    inside = np.zeros(space.structure.mesh.nelements + 1, bool)
    inside[space.cells] = True
    inside[-1] = False
    left, right = space.structure.facet_cells(facets)
    found: AnyArray = np.where(inside[left], left, right)
    return found
