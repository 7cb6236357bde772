"""Conditions on interfaces, outer faces and electrodes, in solver units."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from ...fields.soc import cross_matrix
from ...units import E_CHARGE, ENERGY, FLUX, Array, Indices
from ..elements.space import Space

__all__ = [
    "Boundary",
    "Constraint",
    "ContactFace",
    "ElectrodeFace",
    "FluxFace",
    "FluxLaw",
    "PotentialFace",
    "build_constraint",
    "contact_terms",
    "face_terms",
    "flux_law",
    "mixing_conductance",
    "on_pattern",
]


# Entries of blocks of which `Constraint` keeps the places.
_KEPT_ENTRIES = 2_000_000


@dataclass(frozen=True)
class FluxLaw:
    """Spin flux into the conductor through a face: J = G mu + J_E.

    Args:
        conductance: G / e^2 [1/(meV nm^2 ps)], shape (3, 3).
        drift: J_E [1/(nm^2 ps)], shape (3,).
    """

    conductance: Array
    drift: Array


@dataclass(frozen=True)
class FluxFace:
    """A face with a prescribed flux law (Robin), and its scalar mass and load."""

    name: str
    mass: sp.csr_array
    load: Array
    area: float


@dataclass(frozen=True)
class PotentialFace:
    """A face where the spin potential is prescribed [meV], shape (3,)."""

    name: str
    dofs: Indices
    value: Array


@dataclass(frozen=True)
class ElectrodeFace:
    """A contact: a fixed mu^0, or one unknown mu^0 with a given particle inflow.

    Args:
        dofs: Scalar dofs that share its mu^0.
        potential: mu^0 = 2 q V [meV], or None if the contact floats.
        inflow: Particle current into the device if it floats, per unit of face measure
            times nm^2 ps; zero for a voltage probe.
        sinks: Scalar dofs where it holds the spin potential at zero too.
    """

    name: str
    dofs: Indices
    potential: float | None
    inflow: float
    sinks: Indices


@dataclass(frozen=True)
class ContactFace:
    """An interface across which mu jumps: J = g (mu_second - mu_first) into the first region.

    Args:
        masses: Scalar masses between the dofs of (first, first), (first, second),
            (second, second) sides.
        conductance: g [1/(meV nm^2 ps)] of charge and spin, shape (4, 4).
        pairs: Dofs of the first and second side at the same points, shape (2, n); their
            charge potentials are equal if `charge_joined`.
        charge_joined: Whether mu^0 is continuous.
    """

    name: str
    masses: tuple[sp.csr_array, sp.csr_array, sp.csr_array]
    conductance: Array
    pairs: Indices
    charge_joined: bool


@dataclass(frozen=True)
class Boundary:
    """All conditions of a device."""

    flux: tuple[FluxFace, ...] = ()
    potential: tuple[PotentialFace, ...] = ()
    electrodes: tuple[ElectrodeFace, ...] = ()
    contacts: tuple[ContactFace, ...] = ()


@dataclass(frozen=True)
class Constraint:
    """The unknowns x behind the dofs: mu = x[unknown] + fixed.

    Args:
        unknown: Unknown behind each dof, -1 where it is prescribed, shape (4 n_dofs,).
        fixed: Prescribed values [meV], shape (4 n_dofs,).
        inflow: Extra load of the free unknowns (currents fed into floating contacts).
        charge: Which free unknowns are charge, shape (n_free,).
    """

    unknown: Indices
    fixed: Array
    inflow: Array
    charge: NDArray[np.bool_] = field(repr=False)

    def expand(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the dof values of the unknowns, in the precision of `x`, shape (4 n_dofs,)."""
        return np.where(self.unknown >= 0, x[self.unknown], 0) + self.fixed

    def gather(self, residual: Array) -> Array:
        """Return the sum of a dof vector over the dofs of each unknown, shape (n_free,)."""
        if self.one_to_one:
            return residual[self._free]
        sums = np.bincount(self.unknown[self._free], residual[self._free], minlength=len(self.charge))
        return np.asarray(sums, float)

    @cached_property
    def one_to_one(self) -> bool:
        """Whether every unknown is one dof, in the order of the dofs."""
        return np.array_equal(self.unknown[self._free], np.arange(len(self.charge)))

    @cached_property
    def _free(self) -> Indices:
        """Dofs that are not prescribed, shape (n,)."""
        return np.flatnonzero(self.unknown >= 0)

    def reduce(self, matrix: sp.csr_array) -> sp.csr_array:
        """Return the matrix of the unknowns, shape (n_free, n_free)."""
        rows = self._free
        shape = (len(self.unknown), len(self.charge))
        embed = sp.csr_array((np.ones(len(rows)), (rows, self.unknown[rows])), shape=shape)
        return sp.csr_array(embed.T @ matrix @ embed)

    def reduce_blocks(self, space: Space, values: Array) -> sp.csr_array:
        """Return the matrix of the unknowns from its blocks, shape (n_slots, 4, 4), without zeros.

        Where every unknown is one dof, the places of the entries of small matrices are kept.
        """
        if not self.one_to_one or values.size > _KEPT_ENTRIES:
            return self.reduce(on_pattern(space, values).tocsr())
        if not self._places or self._places[0] is not space:
            numbers = np.arange(1.0, values.size + 1).reshape(values.shape)
            found = self.reduce(on_pattern(space, numbers).tocsr())
            found.sort_indices()
            self._places[:] = [space, found.data.astype(int) - 1, found.indices, found.indptr]
        _, places, indices, indptr = self._places
        data = values.ravel()[places]
        there = data != 0
        ends = np.concatenate([[0], np.cumsum(there, dtype=indptr.dtype)])[indptr]
        n = len(self.charge)
        return sp.csr_array((data[there], indices[there], ends), shape=(n, n))

    @cached_property
    def _places(self) -> list[Any]:
        """Of the latest space: where the entries of its blocks stand, columns and row pointer."""
        return []


def on_pattern(space: Space, values: Array) -> sp.bsr_array:
    """Return the matrix of blocks on the pattern of a space, shape (4 n_dofs, 4 n_dofs)."""
    return sp.bsr_array((values, space.pattern.indices, space.pattern.indptr), shape=(space.size, space.size))


def mixing_conductance(G_s: float, G_r: float, G_i: float, m: ArrayLike) -> Array:
    """Return G = G_s + G_r m x m x + G_i m x, shape (3, 3) [unit of the arguments].

    References:
        PRB 108, 125309 (2023), Eq. (40).
    """
    turn = cross_matrix(m)
    return G_s * np.eye(3) + G_r * (turn @ turn) + G_i * turn


def flux_law(conductance: ArrayLike, drift: ArrayLike = (0.0, 0.0, 0.0)) -> FluxLaw:
    """Return the law in solver units from G [S/m^2] and J_E [1/(m^2 s)]."""
    return FluxLaw(
        np.asarray(conductance, float) / E_CHARGE**2 * ENERGY / FLUX, np.asarray(drift, float) / FLUX
    )


def face_terms(space: Space, face: FluxFace, law: FluxLaw) -> tuple[sp.csr_array, Array]:
    """Return what a flux law adds to W1: matrix -int v^a G_ab mu^b, load +int v^a J_E^a."""
    tensor = np.zeros((4, 4))
    tensor[1:, 1:] = -law.conductance
    load = np.zeros((space.n_dofs, 4))
    load[:, 1:] = np.outer(face.load, law.drift)
    return sp.csr_array(sp.kron(face.mass, tensor, format="csr")), load.ravel()


def contact_terms(face: ContactFace) -> sp.csr_array:
    """Return what a contact adds to the matrix: int (v_1 - v_2) g (mu_1 - mu_2)."""
    same_first, cross, same_second = face.masses
    scalar = same_first + same_second - cross - cross.T
    return sp.csr_array(sp.kron(scalar, face.conductance, format="csr"))


def build_constraint(space: Space, boundary: Boundary) -> Constraint:
    """Return the constraint of prescribed and floating potentials.

    Without an electrode mu^0 is defined up to a constant; it is zero at the top of the device,
    or at the top of each part of it that no charge can reach from the others.
    """
    target = np.arange(space.size)
    fixed = np.zeros(space.size)
    held = np.zeros(space.size, bool)
    for face in boundary.potential:
        for a in range(3):
            held[4 * face.dofs + 1 + a] = True
            fixed[4 * face.dofs + 1 + a] = face.value[a]
    for joint in boundary.contacts:
        if joint.charge_joined:
            target[4 * joint.pairs[1]] = 4 * joint.pairs[0]
    inflow_at: dict[int, float] = {}
    for contact in boundary.electrodes:
        if contact.potential is not None:
            held[4 * contact.dofs] = True
            fixed[4 * contact.dofs] = contact.potential
        else:
            target[4 * contact.dofs] = 4 * contact.dofs[0]
            inflow_at[int(4 * contact.dofs[0])] = contact.inflow
        for a in range(3):
            held[4 * contact.sinks + 1 + a] = True
    while np.any(target[target] != target):  # a contact that ends on a floating electrode
        target = target[target]
    for dof in _references(space, boundary, held):
        held |= target == target[4 * dof]
    kept = np.zeros(space.size, bool)
    kept[target[~held]] = True
    masters = np.flatnonzero(kept)
    unknown = np.where(held, -1, (np.cumsum(kept) - 1)[target])
    inflow = np.zeros(len(masters))
    for dof, value in inflow_at.items():
        inflow[np.searchsorted(masters, dof)] = value
    return Constraint(unknown, fixed, inflow, masters % 4 == 0)


def _references(space: Space, boundary: Boundary, held: NDArray[np.bool_]) -> list[int]:
    """Return one scalar dof of every part of the device whose mu^0 nothing fixes, its highest."""
    pattern, n = space.pattern, space.n_dofs
    graph = sp.csr_array((np.ones(len(pattern.indices)), pattern.indices, pattern.indptr), (n, n))
    links = [joint.pairs for joint in boundary.contacts]
    links += [np.stack([c.dofs[:-1], c.dofs[1:]]) for c in boundary.electrodes if c.potential is None]
    for a, b in links:
        link = sp.csr_array((np.ones(len(a)), (a, b)), (n, n))
        graph = graph + link + link.T
    # All links go both ways: parts that are strongly connected are the parts, found without a
    # transposed copy of the graph.
    parts, part = connected_components(graph, directed=True, connection="strong")
    fixed = np.zeros(parts, bool)
    fixed[part[held[::4]]] = True
    height = space.locations[-1]
    loose = (np.flatnonzero(part == k) for k in np.flatnonzero(~fixed))
    return [int(dofs[np.argmax(height[dofs])]) for dofs in loose]
