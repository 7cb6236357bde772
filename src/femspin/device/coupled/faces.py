"""Faces with a flux law that differs from facet to facet, as towards a magnetization texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ...transport.assembly.boundary import FluxLaw
from ...transport.elements.space import Space
from ...units import Array, Indices

__all__ = ["FacetFace", "facet_face"]


@dataclass(frozen=True)
class FacetFace:
    """Integrals over the facets of a face, seen from the conducting cells.

    Args:
        name: The face.
        region: The conductor.
        rows: Positions of the cells among the conducting cells, shape (n_facets,).
        slots: Slots of the matrix pattern that the face adds to, shape (k,).
        masses: Integrals of phi_i phi_m that a facet adds to a slot, shape (k, n_facets).
        loads: Integrals of phi_i, shape (n_facets, n_local).
    """

    name: str
    region: str
    rows: Indices
    slots: Indices
    masses: sp.csr_array
    loads: Array

    @property
    def areas(self) -> Array:
        """Measure of the facets, shape (n_facets,)."""
        found: Array = self.loads.sum(axis=1)
        return found

    def add(self, space: Space, law: FluxLaw, pumped: Array, values: Array, load: Array) -> None:
        """Add -int v G mu to the matrix and int v (J_E - G mu_p) to the load.

        Args:
            space: The scalar space.
            law: G, shape (3, 3) or (n_facets, 3, 3), and J_E.
            pumped: mu_p of every facet [meV], shape (n_facets, 3).
            values: Block values to add to, shape (n_slots, 4, 4).
            load: Right-hand side to add to, shape (n_dofs, 4).
        """
        tensor = np.broadcast_to(-law.conductance, (len(self.rows), 3, 3)).reshape(-1, 9)
        values[self.slots, 1:, 1:] += (self.masses @ tensor).reshape(-1, 3, 3)
        given = law.drift - np.einsum("...ab,...b->...a", law.conductance, pumped)
        given = np.broadcast_to(given, (len(self.rows), 3))
        np.add.at(load[:, 1:], space.dofs[self.rows], self.loads[:, :, None] * given[:, None])

    def inflow(self, space: Space, law: FluxLaw, mu: Array, pumped: Array) -> Array:
        """Return what enters through every facet, J_E + G (mu - mu_p), shape (n_facets, 3)."""
        integral = np.einsum("ei,eia->ea", self.loads, mu[space.dofs[self.rows], 1:])
        areas = self.areas[:, None]
        given = np.einsum("...ab,...b->...a", law.conductance, integral - areas * pumped)
        found: Array = given + areas * law.drift
        return found


def facet_face(space: Space, name: str, facets: Indices, cells: Indices) -> FacetFace:
    """Return the integrals over a face.

    Args:
        space: The scalar space.
        name: The face.
        facets: Mesh facets.
        cells: The conducting mesh cell at each facet; all of one region.
    """
    phi, dx, _ = space._facet_basis(facets, cells)
    rows = np.searchsorted(space.cells, cells)
    masses = np.einsum("iep,mep,ep->eim", phi, phi, dx).reshape(len(facets), -1)
    facet, pair = np.nonzero(masses)
    slots, place = np.unique(space.pattern.slots(rows)[facet, pair], return_inverse=True)
    shape = (len(slots), len(facets))
    matrix = sp.coo_array((masses[facet, pair], (place, facet)), shape=shape).tocsr()
    region = space.structure.regions[space.structure.region_of_cell[cells[0]]]
    return FacetFace(name, region, rows, slots, matrix, np.einsum("iep,ep->ei", phi, dx))
