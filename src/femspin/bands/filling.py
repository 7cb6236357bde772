"""Electrons per site, and the chemical potential that gives a number of them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from ..errors import CaseError, SolverError
from .contours import contour_integral
from .critical import band_edges
from .fermi_sums import logistic_nodes
from .kernels import Array
from .lattice import TwoSublattice
from .mesh import mesh_occupation, needed_mesh
from .simplex import point_sum, tetrahedron_integral

__all__ = ["chemical_potential", "electrons_per_site"]

_LARGEST_MESH = {1: 100_000, 2: 400, 3: 64}
_TETRAHEDRA = 24
_ORDER = 12
_CLOSE = 1e-6


def electrons_per_site(model: TwoSublattice, mu: float, kT: float = 0.0) -> float:
    """Return the number of electrons per site, 0 to 2; 1 fills the lower band.

    Exact at zero temperature in one and two dimensions, to 1e-3 with tetrahedra in three.

    Args:
        model: The lattice.
        mu: Chemical potential, in the unit of the hopping.
        kT: Temperature in the same unit.
    """
    if kT <= 0:
        return sum(_share(model, mu, s) for s in (1, -1))
    n = needed_mesh(model, kT, 1e-10)
    if n <= _LARGEST_MESH[model.dimension]:
        return mesh_occupation(model, mu, kT, n)
    if model.dimension == 3:
        return mesh_occupation(model, mu, kT, _LARGEST_MESH[3])
    x, w = logistic_nodes(_ORDER)
    return float(
        sum(c * electrons_per_site(model, mu + kT * a) for a, c in zip(x, w, strict=True))
    )


def _share(model: TwoSublattice, mu: float, s: int) -> float:
    """Return the filled share of a band at zero temperature."""

    def nothing(k: Array, _: int) -> Array:
        return np.zeros((len(k), 1))

    if model.dimension == 1:
        return point_sum(model, mu, s, nothing, 1)[2]
    if model.dimension == 2:
        return contour_integral(model, mu, s, nothing, 1)[2]
    return tetrahedron_integral(model, mu, s, nothing, 1, _TETRAHEDRA)[1]


def chemical_potential(model: TwoSublattice, filling: float, kT: float = 0.0) -> float:
    """Return the chemical potential of a number of electrons per site.

    Args:
        model: The lattice.
        filling: Electrons per site, more than 0 and less than 2.
        kT: Temperature, in the unit of the hopping.

    Raises:
        CaseError: If the filling is out of range, or is 1 with a gap at zero temperature.
        SolverError: At zero temperature, if mu comes out as a van Hove energy.
    """
    if not 0 < filling < 2:
        raise CaseError(
            "filling", f"must lie between 0 and 2 electrons per site (got {filling:.6g})"
        )
    (low, a), (b, high) = band_edges(model)
    if kT <= 0 and filling == 1 and a < b:
        raise CaseError("filling", f"1 electron per site fills the lower band: mu lies in the gap,"
                        f" {a:.6g} to {b:.6g} in the unit of the hopping")  # fmt: skip
    margin = 1e-9 * (high - low) + 40 * kT
    low, high = low - margin, high + margin
    if kT > 0 and needed_mesh(model, kT, 1e-10) > _LARGEST_MESH[model.dimension] and filling != 1:
        cold = chemical_potential(model, filling)  # each temperature costs many sharp lines
        low, high = max(low, cold - 5 * kT), min(high, cold + 5 * kT)
    root: float = brentq(lambda mu: _near(model, mu, kT) - filling, low, high,
                         xtol=1e-12 * (high - low))  # fmt: skip
    found = electrons_per_site(model, root, kT)
    if abs(found - filling) > _CLOSE:
        raise CaseError("filling", f"{filling:.6g} puts mu next to the van Hove energy"
                        f" {root:.6g} t, where a sharp Fermi line has a crossing; choose another"
                        " one or a temperature")  # fmt: skip
    return root


def _near(model: TwoSublattice, mu: float, kT: float) -> float:
    """Return electrons per site; those around a van Hove energy where there is no sharp line."""
    try:
        return electrons_per_site(model, mu, kT)
    except SolverError:
        step = 1e-4 * (abs(mu) + model.exchange)
        return sum(electrons_per_site(model, mu + x, kT) for x in (-step, step)) / 2
