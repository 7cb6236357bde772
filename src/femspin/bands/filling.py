"""Electrons per site, and the chemical potential that gives a number of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.optimize import brentq

from ..errors import CaseError, SolverError
from ..units import Array
from .contours import contour_integral
from .critical import band_edges, critical_energies
from .fermi_sums import logistic_nodes
from .lattice import TwoSublattice
from .mesh import mesh_occupation, needed_mesh
from .simplex import point_sum, tetrahedra_below
from .surfaces import filled_share, surface_integral

__all__ = ["chemical_potential", "electrons_per_site"]

_LARGEST_MESH = {1: 100_000, 2: 400, 3: 128}
_TETRAHEDRA = 24
_LINES = {False: 18, True: 40}  # across a surface, in a search and after it
_ORDER = 12
_CLOSE = {1: 1e-6, 2: 1e-6, 3: 1e-4}
_THERMAL = {1: 1e-10, 2: 1e-10, 3: 1e-6}  # accuracy of meshes
_CORRECTIONS = 3
_EXACT = 1e-5
_ENOUGH = 1e-2  # share of the electrons or holes at which a search in three dimensions ends
_ENERGIES = {False: 4, True: 6}  # between a band edge and mu
_SHARP = {False: 2e-2, True: 1e-3}  # tolerances of their densities of states


def electrons_per_site(model: TwoSublattice, mu: float, kT: float = 0.0, precise: bool = True) -> float:
    """Return the number of electrons per site, 0 to 2; 1 fills the lower band.

    Exact at zero temperature in one and two dimensions.  In three to about 1e-5; of the electrons
    or holes in closed pockets, however small, to about 1e-4 of their number.

    Args:
        model: The lattice.
        mu: Chemical potential, in the unit of the hopping.
        kT: Temperature in the same unit.
        precise: False for a tenth of the time and of the accuracy in three dimensions.
    """
    if kT <= 0:
        return sum(_share(model, mu, s, precise) for s in (1, -1))
    d = model.dimension
    n = needed_mesh(model, kT, _THERMAL[d])
    if n <= _LARGEST_MESH[d]:
        return mesh_occupation(model, mu, kT, n)
    x, w = logistic_nodes(_ORDER)
    return float(
        sum(c * electrons_per_site(model, mu + kT * a, 0.0, precise) for a, c in zip(x, w, strict=True))
    )


def _share(model: TwoSublattice, mu: float, s: int, precise: bool) -> float:
    """Return the filled share of a band at zero temperature."""

    def nothing(k: Array, _: int) -> Array:
        return np.zeros((len(k), 1))

    if model.dimension == 1:
        return point_sum(model, mu, s, nothing, 1)[2]
    if model.dimension == 2:
        return contour_integral(model, mu, s, nothing, 1)[2]
    share = filled_share(model, mu, s, _LINES[precise])
    if share is not None:
        return share
    near = _next_to_an_edge(model, mu, s, precise)
    if near is not None:
        return near
    rough = tetrahedra_below(model, mu, s, _TETRAHEDRA)
    if not precise:
        return rough
    return (4 * tetrahedra_below(model, mu, s, 2 * _TETRAHEDRA) - rough) / 3


def _next_to_an_edge(model: TwoSublattice, mu: float, s: int, precise: bool) -> float | None:
    """Return the filled share from the density of states where mu is next to a band edge.

    Thin layers along a whole surface of band edges, as at the gap without intra-sublattice
    hopping, fall through tetrahedra.  None unless mu is within a tenth of the band of an edge
    and no van Hove energy lies between.
    """
    energies = _critical_energies(model, s)
    low, high = float(energies[0]), float(energies[-1])
    edge = low if mu - low < high - mu else high
    span = 0.1 * (high - low)
    between = (energies > min(mu, edge)) & (energies < max(mu, edge))
    if abs(mu - edge) > span or np.any(between & (abs(energies - edge) > 1e-9 * span)):
        return None

    def one(k: Array, _: int) -> Array:
        return np.ones((len(k), 1))

    total = 0.0
    for x, w in zip(*leggauss(_ENERGIES[precise]), strict=True):  # E = edge + (mu - edge) y^2
        y = (1 + x) / 2
        dos = surface_integral(model, edge + (mu - edge) * y**2, s, one, 1, _SHARP[precise])[0][0]
        total += w * y * dos
    share = total * abs(mu - edge) * model.cell_volume
    return share if edge == low else 1 - share


@lru_cache(maxsize=64)
def _critical_energies(model: TwoSublattice, s: int) -> Array:
    return critical_energies(model, s)


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
        raise CaseError("filling", f"must lie between 0 and 2 electrons per site (got {filling:.6g})")
    (low, a), (b, high) = band_edges(model)
    if kT <= 0 and filling == 1 and a < b:
        raise CaseError(
            "filling",
            f"1 electron per site fills the lower band: mu lies in the gap,"
            f" {a:.6g} to {b:.6g} in the unit of the hopping",
        )
    margin = 1e-9 * (high - low) + 40 * kT
    low, high = low - margin, high + margin
    mesh = needed_mesh(model, kT, _THERMAL[model.dimension]) if kT > 0 else 0
    if mesh > _LARGEST_MESH[model.dimension] and filling != 1:
        cold = chemical_potential(model, filling)  # each temperature costs many sharp sums
        low, high = max(low, cold - 5 * kT), min(high, cold + 5 * kT)
    near = _ENOUGH * min(filling, 2 - filling, abs(filling - 1) or 1) * (model.dimension == 3)

    def missing(mu: float) -> float:
        rest = _near(model, mu, kT) - filling
        return 0.0 if abs(rest) < near else rest

    root: float = brentq(missing, low, high, xtol=1e-12 * (high - low))
    found = electrons_per_site(model, root, kT)
    if model.dimension == 3:
        root, found = _corrected(model, root, found, filling, kT)
    if abs(found - filling) > _CLOSE[model.dimension]:
        raise CaseError(
            "filling",
            f"{filling:.6g} puts mu next to the van Hove energy"
            f" {root:.6g} t, where a sharp Fermi line has a crossing; choose another"
            " one or a temperature",
        )
    return root


def _near(model: TwoSublattice, mu: float, kT: float) -> float:
    """Return electrons per site; those around a van Hove energy where there is no sharp line."""
    try:
        return electrons_per_site(model, mu, kT, precise=False)
    except SolverError:
        step = 1e-4 * (abs(mu) + model.exchange)
        return sum(electrons_per_site(model, mu + x, kT) for x in (-step, step)) / 2


def _corrected(
    model: TwoSublattice, mu: float, found: float, filling: float, kT: float
) -> tuple[float, float]:
    """Return mu and electrons per site after secant steps of precise sums."""
    few = min(filling, 2 - filling, abs(filling - 1) or 1)
    step = 1e-3 * max(kT, few ** (2 / 3))
    for _ in range(_CORRECTIONS):
        if abs(found - filling) <= _EXACT * few:
            break
        other = electrons_per_site(model, mu + step, kT)
        if other == found:
            break
        move = (filling - found) * step / (other - found)
        new = electrons_per_site(model, mu + move, kT)
        if abs(new - filling) >= abs(found - filling):
            break
        mu, found, step = mu + move, new, move
    return mu, found
