r"""Storage of spin in time: :math:`\nu\, v^a \partial_t\mu^a` added to W1, and its solution.

Charge is quasi-static: :math:`\partial_t N^0` never enters, so the system is
differential-algebraic in time, :math:`M\dot\mu + K\mu = g(t)\,b` with a mass matrix M that is
zero on the charge rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..fields.region import RegionFields
from ..units import AnyArray
from .assembly.boundary import Constraint, FluxLaw
from .assembly.coefficients import Coefficients
from .assembly.regions import Blocks, apply_region, assemble_region, block_matrix
from .elements.space import Space
from .system import TransportProblem

__all__ = ["StorageSystem", "region_inflow", "region_mass", "split_precision", "storage_system"]


def region_mass(space: Space, name: str, c: Coefficients) -> sp.csr_array:
    """Return what multiplies d_t mu in a region, shape (4 n_dofs, 4 n_dofs); zero for charge."""
    return sp.csr_array(block_matrix(space, {name: assemble_region(space, name, c.storage)}))


def region_inflow(
    space: Space, name: str, c: Coefficients, mu: AnyArray, mu_low: AnyArray, mu_dot: AnyArray | None = None
) -> AnyArray:
    r"""Return the particle inflow of a region at every dof, shape (n_dofs, 4).

    Testing W1 with storage on the region alone leaves
    :math:`(K\mu + M\dot\mu - b)_{i\eta} = -\oint \phi_i J_n^\eta`; see `apply_region`.

    Args:
        space: The scalar space.
        name: Region.
        c: Its coefficients; of a complex state the drift is the real amplitude.
        mu: Potentials [meV], real or complex, shape (n_dofs, 4).
        mu_low: Rest of an extended-precision mu.
        mu_dot: d_t mu [meV/ps], shape (n_dofs, 4); only the spin components are used.
    """
    residual = _apply(space, name, c, mu, mu_low)
    if mu_dot is None:
        return residual
    return residual + _apply(space, name, c.storage, mu_dot, np.zeros_like(mu_dot))


def _apply(space: Space, name: str, c: Coefficients, mu: AnyArray, low: AnyArray) -> AnyArray:
    """Return `apply_region` of potentials that may be complex."""
    residual: AnyArray = apply_region(space, name, c, mu.real, low.real)
    if np.iscomplexobj(mu):
        undriven = replace(c, drift=np.zeros_like(c.drift))
        residual = residual + 1j * apply_region(space, name, undriven, mu.imag, low.imag)
    return residual


@dataclass(frozen=True)
class StorageSystem:
    """The device as a differential-algebraic system in time, for fixed fields.

    Args:
        space: The scalar space.
        constraint: Unknowns behind the dofs, at unit drive.
        coefficients: By conducting region, at unit drive.
        blocks: Matrix and load of every region.
        laws: Flux laws of the faces, at unit drive.
        stiffness: K of the unknowns, shape (n_free, n_free).
        mass: M of the unknowns, shape (n_free, n_free).
        weight: M of the dofs, shape (4 n_dofs, 4 n_dofs).
        capacity: Integral of nu over the device.
        faces: What flux laws and contacts add to K, shape (4 n_dofs, 4 n_dofs).
        load: Load of the flux laws, shape (4 n_dofs,).
    """

    space: Space
    constraint: Constraint
    coefficients: Mapping[str, Coefficients]
    blocks: Mapping[str, Blocks]
    laws: Mapping[str, FluxLaw]
    stiffness: sp.csr_array
    mass: sp.csr_array
    weight: sp.csr_array
    capacity: float
    faces: sp.csr_array
    load: NDArray[np.float64]

    def driven(self, drive: float) -> StorageSystem:
        """Return the system with every source scaled: fields, electrodes, prescribed values."""
        c = self.constraint
        return replace(
            self,
            constraint=replace(c, fixed=drive * c.fixed, inflow=drive * c.inflow),
            coefficients={n: replace(k, drift=drive * k.drift) for n, k in self.coefficients.items()},
            laws={n: replace(law, drift=drive * law.drift) for n, law in self.laws.items()},
            load=drive * self.load,
        )

    def residual(self, mu: AnyArray, low: AnyArray, mu_dot: AnyArray) -> AnyArray:
        """Return b - K mu - M mu_dot of the unknowns, cell by cell, shape (n_free,)."""
        inflow: AnyArray = np.zeros_like(mu)
        for name, c in self.coefficients.items():
            inflow = inflow + region_inflow(self.space, name, c, mu, low)
        full = self.load - inflow.ravel() - self.weight @ mu_dot.ravel()
        full = full - self.faces @ mu.ravel() - self.faces @ low.ravel()
        if np.iscomplexobj(full):
            real, imaginary = (self.constraint.gather(v) for v in (full.real, full.imag))
            return real + self.constraint.inflow + 1j * imaginary
        return self.constraint.gather(full) + self.constraint.inflow

    def size(self, mu: AnyArray) -> float:
        """Return the root mean square of mu^a over the device, weighted by nu [meV]."""
        flat = np.asarray(mu, complex if np.iscomplexobj(mu) else float).ravel()
        square = float(np.vdot(flat, self.weight @ flat).real)
        return float(np.sqrt(max(square, 0.0) / self.capacity))


def storage_system(
    problem: TransportProblem, fields: Mapping[str, RegionFields], laws: Mapping[str, FluxLaw] | None = None
) -> StorageSystem:
    """Return the system in time of a problem for the given fields of every conductor.

    Args:
        problem: Mesh and conditions.
        fields: By region name.
        laws: Flux law of every flux face of the boundary.
    """
    space, constraint, laws = problem.space, problem.constraint, dict(laws or {})
    scaled = problem.scaled(fields)
    blocks = {name: problem._region(name, fields[name], c) for name, c in scaled.items()}
    faces, load = problem._faces(laws)
    weight = sp.csr_array((space.size, space.size))
    for name, c in scaled.items():
        weight = sp.csr_array(weight + region_mass(space, name, c))
    capacity = sum(c.dos * space.measure(space.in_region(n)) for n, c in scaled.items())
    stiffness = sp.csr_array(block_matrix(space, blocks).tocsr() + faces)
    return StorageSystem(
        space,
        constraint,
        scaled,
        blocks,
        laws,
        constraint.reduce(stiffness),
        constraint.reduce(weight),
        weight,
        float(capacity),
        faces,
        load,
    )


def split_precision(full: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return an extended-precision array as the sum of two double-precision ones."""
    kind = complex if np.iscomplexobj(full) else float
    high = full.astype(kind)
    return high, (full - high).astype(kind)
